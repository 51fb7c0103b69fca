// Map nodes with any byte changed or cut, missing, or standing where they do not belong: never a wrong id.
#include <filesystem>

#include "core/store/map_reader.h"
#include "core/store/map_writer.h"
#include "core/store/volume_reader.h"
#include "test/store/store_fixture.h"

using namespace vzv;
using namespace vzv::test;

namespace {

constexpr std::uint32_t kChunkBytes = 262'144;

VolumeGeometry geometry_of(std::uint64_t chunks) {
  return must(VolumeGeometry::make(chunks * kChunkBytes, kChunkBytes));
}

struct Fixture {
  Fixture() {
    const auto writer = store.writer();
    MapWriter map(geometry, *writer);
    must(map.set(2, first));
    must(map.set(259, second));
    root = must(map.finish());
    must(writer->flush());
    path = store.file(pack_name(store.packs().at(0)));
    bytes = read_file(path);
    index = store.index();
  }

  Store store;
  const VolumeGeometry geometry = geometry_of(260);
  const Id first = random_chunk(1).id;
  const Id second = random_chunk(2).id;
  Id root;
  std::string path;
  Bytes bytes;
  std::shared_ptr<Index> index;
};

}  // namespace

TEST_CASE("a map whose pack is damaged answers right ids or E_CHUNK_DAMAGED") {
  Fixture fixture;
  // The nodes are compressed: two leaves and the root.
  for_each_damage(fixture.bytes, [&](const Bytes& damaged, std::size_t, bool) {
    write_file(fixture.path, damaged);
    ChunkReader reader(fixture.store.dir(), fixture.index, 0);
    MapReader map(fixture.geometry, fixture.root, reader);
    const std::pair<std::uint64_t, Id> expected[] = {{2, fixture.first}, {3, Id{}}, {259, fixture.second}};
    for (const auto& [n, id] : expected) {
      const Result<Id> answer = map.chunk(n);
      if (answer.ok()) {
        CHECK(answer.value() == id);
      } else {
        CHECK(answer.status().code() == Code::E_CHUNK_DAMAGED);
        CHECK(answer.status().message().find("map node") != std::string::npos);
      }
    }
    const Result<std::uint64_t> next = map.next_data(3);
    if (next.ok()) CHECK(next.value() == 259);
    const Result<std::uint64_t> zero = map.next_zero(2);
    if (zero.ok()) CHECK(zero.value() == 3);
  });
}

TEST_CASE("a map whose pack is missing is E_CHUNK_MISSING") {
  Fixture fixture;
  std::filesystem::remove(fixture.path);
  const auto reader = fixture.store.reader();
  CHECK(MapReader(fixture.geometry, fixture.root, *reader).chunk(2).status().code() == Code::E_CHUNK_MISSING);
}

TEST_CASE("a map that is another volume's, or a root that is no node, is damage") {
  Fixture fixture;
  const auto reader = fixture.store.reader(1 << 20);
  for (const std::uint64_t chunks : {1ULL, 100ULL, 256ULL, 258ULL, 261ULL, 600ULL, 70'000ULL}) {
    // The last chunk: nodes at the end of a volume are those whose length depends on it.
    const Code code = MapReader(geometry_of(chunks), fixture.root, *reader).chunk(chunks - 1).status().code();
    CHECK((code == Code::E_MAP_DAMAGED || code == Code::E_CHUNK_DAMAGED));
  }
  // A volume of as many children a node, but of other levels: the lengths fit, the node itself tells.
  const auto writer = fixture.store.writer();
  MapWriter leaf(geometry_of(2), *writer);
  must(leaf.set(0, fixture.first));
  const Id root = must(leaf.finish());
  must(writer->flush());
  const auto later = fixture.store.reader(1 << 20);
  const Status status = MapReader(geometry_of(260), root, *later).chunk(0).status();
  CHECK(status.code() == Code::E_MAP_DAMAGED);
  CHECK(status.message().find(root.hex().substr(0, 16)) != std::string::npos);
}

TEST_CASE("a chunk of data is never taken for a map node") {
  Fixture fixture;
  const Bytes node = encode_map_node(0, {fixture.first, fixture.second});
  const Id id = sha256(node);
  fixture.store.put_all({{id, node}});  // a guest's data may be the bytes of a node
  const auto reader = fixture.store.reader();
  CHECK(MapReader(geometry_of(2), id, *reader).chunk(0).status().code() == Code::E_CHUNK_MISSING);
}

TEST_CASE("a volume read over a damaged chunk is an error, and its other chunks are right") {
  Store store;
  const TestChunk good = random_chunk(1, kChunkBytes), bad = random_chunk(2, kChunkBytes);
  store.put_all({good});
  store.put_all({bad});
  Id damaged_pack;
  {
    const auto index = store.index();
    damaged_pack = index->find(bad.id, ChunkType::kData)->pack;
  }
  const std::string path = store.file(pack_name(damaged_pack));
  Bytes bytes = read_file(path);
  bytes[5000] ^= 1;
  write_file(path, bytes);

  const auto writer = store.writer();
  MapWriter map(geometry_of(3), *writer);
  must(map.set(0, good.id));
  must(map.set(1, bad.id));
  const Id root = must(map.finish());
  must(writer->flush());
  const auto reader = store.reader(1 << 24);
  VolumeReader volume(geometry_of(3), root, *reader);
  Bytes out(kChunkBytes);
  must(volume.read(0, out));
  CHECK(out == good.bytes);
  const Status status = volume.read(kChunkBytes + 10, std::span(out).first(1));
  CHECK(status.code() == Code::E_CHUNK_DAMAGED);
  CHECK(status.message().find(bad.id.hex().substr(0, 16)) != std::string::npos);
  CHECK(volume.read(kChunkBytes - 10, out).code() == Code::E_CHUNK_DAMAGED);
  must(volume.read(2 * kChunkBytes, out));
  CHECK(out == Bytes(kChunkBytes));
}
