// An index segment with any byte changed or cut at any length, in the repository and in the local cache.
#include <filesystem>

#include "core/store/segment_format.h"
#include "test/store/store_fixture.h"

using namespace vzv;
using namespace vzv::test;

namespace {

struct Fixture {
  Fixture() : chunks{random_chunk(1, 60), random_chunk(2, 50)} {
    store.put_all(chunks);
    segment = store.segments().at(0);
    path = store.file(segment_name(segment));
    cached_path = store.cache_path() + "/" + segment.hex();
    bytes = read_file(path);
  }

  Store store;
  std::vector<TestChunk> chunks;
  Id segment;
  std::string path;
  std::string cached_path;
  Bytes bytes;
};

}  // namespace

TEST_CASE("a segment that is damaged in the repository is left out and named") {
  Fixture fixture;
  for_each_damage(fixture.bytes, [&](const Bytes& damaged, std::size_t, bool) {
    write_file(fixture.path, damaged);
    const auto index = fixture.store.fresh_index();
    REQUIRE(index->damaged_segments().size() == 1);
    const Status named = index->damaged_segments().front();
    CHECK(named.code() == Code::E_SEGMENT_DAMAGED);
    CHECK(named.message().find(fixture.segment.hex()) != std::string::npos);
    CHECK_FALSE(index->find(fixture.chunks[0].id, ChunkType::kData));
    CHECK_FALSE(std::filesystem::exists(fixture.cached_path));
  });
}

TEST_CASE("beside a damaged segment a backup goes on, and a restore says why a chunk is missing") {
  Fixture fixture;
  Bytes damaged = fixture.bytes;
  damaged[100] ^= 1;
  write_file(fixture.path, damaged);
  const auto index = fixture.store.fresh_index();
  ChunkReader reader(fixture.store.dir(), index, 0);
  const Status missing = reader.read(fixture.chunks[0].id, ChunkType::kData, 60).status();
  CHECK(missing.code() == Code::E_CHUNK_MISSING);
  CHECK(missing.message().find(fixture.segment.hex()) != std::string::npos);

  const auto writer = must(ChunkWriter::create(fixture.store.dir(), index));
  CHECK(must(writer->put(ChunkType::kData, fixture.chunks[0].id, fixture.chunks[0].bytes)).put == Put::kStored);
  must(writer->flush());
  CHECK(*must(reader.read(fixture.chunks[0].id, ChunkType::kData, 60)) == fixture.chunks[0].bytes);
}

TEST_CASE("a cached copy that is damaged is fetched again") {
  Fixture fixture;
  for_each_damage(fixture.bytes, [&](const Bytes& damaged, std::size_t, bool) {
    write_file(fixture.cached_path, damaged);
    const auto index = fixture.store.index();
    CHECK(index->damaged_segments().empty());
    CHECK(index->find(fixture.chunks[0].id, ChunkType::kData));
    CHECK(read_file(fixture.cached_path) == fixture.bytes);
  });
}

TEST_CASE("lookups in a damaged segment stay within its bytes") {
  Fixture fixture;
  for_each_damage(fixture.bytes, [&](const Bytes& damaged, std::size_t, bool) {
    const Result<SegmentView> view = SegmentView::parse(damaged);
    if (!view.ok()) return;
    (void)view.value().check_contents();
    for (const TestChunk& chunk : fixture.chunks) {
      const auto entry = view.value().find(chunk.id, ChunkType::kData);
      if (entry) CHECK(entry->pack < view.value().packs());
    }
  });
}
