// Verifying archives: all that is damaged is told, the rest is read.
#include "core/pipeline/archive_verify.h"

#include <doctest/doctest.h>

#include <fstream>

#include "test/archive/archive_fixture.h"
#include "test/archive/sample_members.h"
#include "test/archive/tar_builder.h"
#include "test/support/few_threads.h"

using namespace vzv;
using namespace vzv::test;

namespace {

Bytes some_tar() {
  TarBuilder tar;
  for (std::uint64_t i = 0; i < 3'000; ++i) {
    const Bytes bytes = random_pattern(i % 10 == 0 ? 300'000 : 100, i);
    tar.member({.name = "directory/" + std::to_string(i)}, std::string(bytes.begin(), bytes.end()));
  }
  tar.member({.name = "zeroes"}, std::string(3'000'000, '\0'));
  return tar.end().bytes();
}

struct Verified {
  ArchiveVerifyResult result;
  CopyCounters counters;
};
void verify(Store& store, const ArchiveMap& archive, Verified& verified) {
  CancelToken cancel;
  auto chunks = store.fresh_reader();
  verified.result = must(verify_archive(archive, *chunks, verified.counters, cancel));
  CHECK(verified.counters.processed_bytes == verified.counters.total_bytes);
  CHECK(verified.result.damages.size() == verified.result.damage_count);
}

// Spoils the stored bytes of a chunk.
void damage(Store& store, const Id& id, ChunkType type) {
  const auto place = store.index()->find(id, type);
  REQUIRE(place);
  std::fstream file(store.file(pack_name(place->pack)), std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(place->offset + place->stored_bytes / 2);
  file.put('\x5a').put('\xa5');
  REQUIRE(file.good());
}

}  // namespace

TEST_CASE("a whole archive is whole") {
  Store store;
  const ArchiveMap archive = must_back_up(store, some_tar());
  Verified verified;
  verify(store, archive, verified);
  CHECK(verified.result.damage_count == 0);
  CHECK(verified.result.chunks > 300);
  CHECK(verified.counters.hole_bytes == 3'000'000);
  CHECK(verified.counters.total_bytes == archive.data.size_bytes + archive.catalogue.size_bytes);
  Verified empty;
  verify(store, ArchiveMap{}, empty);
  CHECK(empty.result.damage_count == 0);
}

TEST_CASE("damaged pieces of data and of the catalogue are told one by one") {
  Store store;
  const ArchiveMap archive = must_back_up(store, some_tar());
  auto chunks = store.reader();
  StreamReader data(archive.data, ChunkType::kData, *chunks);
  StreamReader catalogue(archive.catalogue, ChunkType::kCatalogue, *chunks);
  damage(store, must(data.piece(0)).id, ChunkType::kData);
  damage(store, must(data.piece(archive.data.size_bytes / 2)).id, ChunkType::kData);
  damage(store, must(catalogue.piece(archive.catalogue.size_bytes / 2)).id, ChunkType::kCatalogue);
  Verified verified;
  verify(store, archive, verified);
  CHECK(verified.result.damage_count == 3);
  for (const Status& status : verified.result.damages) CHECK(status.code() == Code::E_CHUNK_DAMAGED);
}

TEST_CASE("a map that cannot be read is one damage, and does not hide the other stream's") {
  Store store;
  const ArchiveMap archive = must_back_up(store, some_tar());
  damage(store, archive.data.root, ChunkType::kMapNode);
  auto chunks = store.reader();
  StreamReader catalogue(archive.catalogue, ChunkType::kCatalogue, *chunks);
  damage(store, must(catalogue.piece(0)).id, ChunkType::kCatalogue);
  Verified verified;
  verify(store, archive, verified);
  CHECK(verified.result.damage_count == 2);
}

TEST_CASE("the first member that cannot stand behind those before it is damage, the rest is verified") {
  Store store;
  auto writer = store.writer();
  CatalogueWriter catalogue(*writer);
  for (const char* path : {"a", "a/b", "a/c", "d"}) must(catalogue.add(sample_file(path, 0)));
  const ArchiveMap archive{4, StreamMap{}, must(catalogue.finish())};
  must(writer->flush());
  Verified verified;
  verify(store, archive, verified);
  REQUIRE(verified.result.damage_count == 1);
  CHECK(verified.result.damages[0].code() == Code::E_CATALOGUE_DAMAGED);
  CHECK(verified.result.damages[0].message() == "member 'a/b' of the catalogue lies below 'a', which is no directory");
}

TEST_CASE("a catalogue of another archive is damage") {
  Store store;
  ArchiveMap archive = must_back_up(store, some_tar());
  const ArchiveMap other = must_back_up(store, TarBuilder().member({.name = "x"}, "x").end().bytes());
  archive.catalogue = other.catalogue;
  Verified verified;
  verify(store, archive, verified);
  REQUIRE(verified.result.damage_count == 1);
  CHECK(verified.result.damages[0].code() == Code::E_CATALOGUE_DAMAGED);
  archive.catalogue.levels = 9;
  CancelToken cancel;
  CopyCounters counters;
  auto chunks = store.reader();
  CHECK(must(verify_archive(archive, *chunks, counters, cancel)).damage_count == 1);
  cancel.cancel();
  archive.catalogue.levels = other.catalogue.levels;
  CHECK(verify_archive(archive, *chunks, counters, cancel).status().code() == Code::E_CANCELLED);
}

TEST_CASE("backup and verification of an archive that get no threads say so") {
  Store store;
  const Bytes tar = some_tar();
  const ArchiveMap archive = must_back_up(store, tar);
  CancelToken cancel;
  FedPipe pipes[] = {FedPipe(tar), FedPipe(tar)};
  std::size_t next = 0;
  check_needs_threads([&] {
    ArchiveCounters counters;
    return backup_archive(pipes[next++].fd(), *store.writer(), {}, counters, cancel).status();
  });
  auto chunks = store.fresh_reader();
  check_needs_threads([&] {
    CopyCounters counters;
    return verify_archive(archive, *chunks, counters, cancel).status();
  });
}
