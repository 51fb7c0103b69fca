// Volumes and archives through an encrypted repository, and where their data is cut.
#include "core/base/bytes.h"
#include "core/pipeline/volume_backup.h"
#include "core/source/open_source.h"
#include "core/store/volume_reader.h"
#include "test/archive/archive_fixture.h"
#include "test/archive/tar_builder.h"

using namespace vzv;
using namespace vzv::test;

namespace {

constexpr std::uint32_t kChunkBytes = 256 << 10;

VolumeBackupResult back_up_volume(Store& store, const std::string& path) {
  CancelToken cancel;
  const auto source = must(open_source(FileAddress{path}, SourceOptions{}, cancel));
  const auto writer = store.writer();
  VolumeBackupOptions options;
  options.chunk_size_bytes = kChunkBytes;
  BackupCounters counters;
  const VolumeBackupResult volume = must(backup_volume(*source, *writer, options, counters, cancel));
  must(writer->flush());
  return volume;
}

Bytes tar_of_many_members() {
  TarBuilder tar;
  for (std::uint64_t i = 0; i < 4'000; ++i) {
    const Bytes bytes = random_pattern(i % 500 == 0 ? 3'000'000 : 100, i);
    tar.member({.name = "directory/of/files/" + std::to_string(i)}, std::string(bytes.begin(), bytes.end()));
  }
  return tar.end().bytes();
}

// Where the pieces of a stream end.
std::vector<std::uint64_t> ends_of(Store& store, const StreamMap& map, ChunkType type) {
  const auto chunks = store.reader(16 << 20);
  StreamReader stream(map, type, *chunks);
  std::vector<std::uint64_t> ends;
  for (std::uint64_t offset = 0; offset < map.size_bytes; offset = ends.back()) {
    const StreamPiece piece = must(stream.piece(offset));
    ends.push_back(piece.offset + piece.length);
  }
  return ends;
}

struct Cuts {
  std::vector<std::uint64_t> data;
  std::vector<std::uint64_t> catalogue;
};
Cuts cuts_of(const Bytes& tar, const RepositoryKeysPtr& keys) {
  Store store;
  store.keys = keys;
  const ArchiveMap archive = must_back_up(store, tar);
  std::size_t members = 0;
  read_archive(store, archive, [&](const Member& member, const Bytes& stored) {
    CHECK(stored == random_pattern(members % 500 == 0 ? 3'000'000 : 100, members));
    CHECK(member.path == "directory/of/files/" + std::to_string(members));
    ++members;
  });
  CHECK(members == 4'000);
  return {ends_of(store, archive.data, ChunkType::kData), ends_of(store, archive.catalogue, ChunkType::kCatalogue)};
}

}  // namespace

TEST_CASE("a volume of an encrypted repository is read as it was, and is another one with another key") {
  const ScratchDirectory scratch;
  const std::string path = scratch / "disk.raw";
  const Bytes bytes = random_pattern(3 * kChunkBytes + 512, 1);
  write_sparse(path, 400 * kChunkBytes + 512, {{5 * kChunkBytes, bytes}, {390 * kChunkBytes, bytes}});

  std::vector<Id> roots;
  for (const RepositoryKeysPtr& keys : {keys_of(1), keys_of(1), keys_of(2), RepositoryKeysPtr()}) {
    Store store;
    store.keys = keys;
    const VolumeBackupResult volume = back_up_volume(store, path);
    roots.push_back(volume.root);
    const auto reader = store.reader(16 << 20);
    VolumeReader read(volume.geometry, volume.root, *reader);
    Bytes all(read.size_bytes());
    must(read.read(0, all));
    CHECK(all == read_file(path));
    // The second backup of the same data stores nothing.
    const std::size_t packs = store.packs().size();
    CHECK(back_up_volume(store, path).root == volume.root);
    CHECK(store.packs().size() == packs);
  }
  CHECK(roots[0] == roots[1]);
  CHECK(roots[0] != roots[2]);
  CHECK(roots[0] != roots[3]);
  CHECK(roots[2] != roots[3]);
}

TEST_CASE("where an archive is cut depends on the key, and on nothing else") {
  const Bytes tar = tar_of_many_members();
  const Cuts plain = cuts_of(tar, nullptr), one = cuts_of(tar, keys_of(1)), again = cuts_of(tar, keys_of(1)),
             other = cuts_of(tar, keys_of(2));
  CHECK(one.data == again.data);
  CHECK(one.catalogue == again.catalogue);
  CHECK(one.data != other.data);
  CHECK(one.catalogue != other.catalogue);
  CHECK(one.data != plain.data);
  CHECK(one.catalogue != plain.catalogue);
}
