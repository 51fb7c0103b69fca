#include "core/store/index.h"

#include <filesystem>
#include <thread>

#include "core/store/segment_writer.h"
#include "test/store/store_fixture.h"

using namespace vzv;
using namespace vzv::test;

TEST_CASE("the index of an empty repository knows nothing") {
  const Store store;
  const auto index = store.index();
  CHECK_FALSE(index->find(random_chunk(1).id, ChunkType::kData));
  CHECK(index->statistics().packs == 0);
  CHECK(index->statistics().chunks == 0);
  CHECK(index->explain_missing(random_chunk(1).id, ChunkType::kData) == "is in no segment of the index");
}

TEST_CASE("the index finds what was flushed, with and without its cache") {
  Store store;
  std::vector<TestChunk> chunks;
  for (std::uint64_t n = 0; n < 100; ++n) chunks.push_back(random_chunk(n));
  store.put_all(chunks);
  for (const auto& index : {store.index(), store.fresh_index()}) {
    for (const TestChunk& chunk : chunks) {
      const auto place = index->find(chunk.id, ChunkType::kData);
      REQUIRE(place);
      CHECK(place->plain_bytes == 1000);
      CHECK(place->pack == store.packs()[0]);
      CHECK_FALSE(index->find(chunk.id, ChunkType::kMapNode));
    }
    const IndexStatistics statistics = index->statistics();
    CHECK(statistics.packs == 1);
    CHECK(statistics.segments == 1);
    CHECK(statistics.chunks == 100);
    CHECK(statistics.plain_bytes == 100'000);
  }
}

TEST_CASE("refresh takes in what other writers stored, and drops what is gone") {
  Store store;
  const auto index = store.index();
  const TestChunk first = random_chunk(1), second = random_chunk(2);
  store.put_all({first});
  CHECK_FALSE(index->find(first.id, ChunkType::kData));
  must(index->refresh());
  CHECK(index->find(first.id, ChunkType::kData));
  store.put_all({second});
  must(index->refresh());
  CHECK(index->find(second.id, ChunkType::kData));
  CHECK(index->segments().size() == 2);

  const Id gone = index->segments().back();
  std::filesystem::remove(store.file(segment_name(gone)));
  must(index->refresh());
  CHECK(index->segments().size() == 1);
  CHECK_FALSE(std::filesystem::exists(store.cache_path() + "/" + gone.hex()));
}

TEST_CASE("a chunk in a pack that is gone is absent until the pack is back") {
  Store store;
  const TestChunk chunk = random_chunk(1);
  store.put_all({chunk});
  const auto index = store.index();
  const std::string path = store.file(pack_name(store.packs()[0]));
  std::filesystem::rename(path, store.file("elsewhere"));
  must(index->refresh());
  CHECK_FALSE(index->find(chunk.id, ChunkType::kData));
  CHECK(index->statistics().chunks == 0);
  CHECK(index->explain_missing(chunk.id, ChunkType::kData).find("missing from packs/") != std::string::npos);
  std::filesystem::rename(store.file("elsewhere"), path);
  must(index->refresh());
  CHECK(index->find(chunk.id, ChunkType::kData));
}

TEST_CASE("other files in packs/ and index/ are not looked at") {
  Store store;
  store.put_all({random_chunk(1)});
  write_file(store.file("index/README"), Bytes(3));
  write_file(store.file("packs/README"), Bytes(3));
  std::filesystem::create_directory(store.file("packs/zz"));
  const Id pack = store.packs().at(0);
  // A pack below another prefix than its own would not be found by its name.
  std::filesystem::create_directories(store.file("packs/zz"));
  write_file(store.file("packs/zz/" + random_chunk(5).id.hex()), Bytes(3));
  const auto index = store.index();
  CHECK(index->packs() == std::vector<Id>{pack});
  CHECK(index->damaged_segments().empty());
}

TEST_CASE("two indexes over one cache directory do not disturb one another") {
  Store store;
  const auto first = store.index();
  const auto second = store.index();
  store.put_all({random_chunk(1)});
  must(first->refresh());
  must(second->refresh());
  CHECK(first->find(random_chunk(1).id, ChunkType::kData));
  CHECK(second->find(random_chunk(1).id, ChunkType::kData));
}

TEST_CASE("what a process left unfinished in the cache long ago is removed") {
  Store store;
  (void)store.index();
  std::filesystem::create_directory(store.cache_path() + "/tmp");
  write_file(store.cache_path() + "/tmp/old", Bytes(3));
  write_file(store.cache_path() + "/tmp/new", Bytes(3));
  std::filesystem::last_write_time(store.cache_path() + "/tmp/old",
                                   std::filesystem::file_time_type::clock::now() - std::chrono::hours(48));
  (void)store.index();
  CHECK_FALSE(std::filesystem::exists(store.cache_path() + "/tmp/old"));
  CHECK(std::filesystem::exists(store.cache_path() + "/tmp/new"));
}

TEST_CASE("lookups run beside refresh and writing") {
  Store store;
  std::vector<TestChunk> known;
  for (std::uint64_t n = 0; n < 20; ++n) known.push_back(random_chunk(n));
  store.put_all(known);
  const auto index = store.index();
  std::atomic<bool> stop{false};
  std::atomic<int> missed{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 2; ++i) {
    threads.emplace_back([&] {
      while (!stop) {
        for (const TestChunk& chunk : known) {
          if (!index->find(chunk.id, ChunkType::kData)) ++missed;
        }
      }
    });
  }
  threads.emplace_back([&] {
    while (!stop) (void)index->refresh();
  });
  const auto writer = must(ChunkWriter::create(store.dir(), index, {.segment_entries = 3}));
  for (std::uint64_t n = 100; n < 130; ++n) {
    const TestChunk chunk = random_chunk(n);
    must(writer->put(ChunkType::kData, chunk.id, chunk.bytes));
  }
  must(writer->flush());
  stop = true;
  for (auto& thread : threads) thread.join();
  CHECK(missed == 0);
  for (std::uint64_t n = 100; n < 130; ++n) CHECK(index->find(random_chunk(n).id, ChunkType::kData));
}

TEST_CASE("excluded packs are passed over by the lookups that name them") {
  Store store;
  const TestChunk chunk = random_chunk(1);
  store.put_all({chunk});
  const Id first = store.packs().at(0);
  const auto index = store.index();
  CHECK_FALSE(index->find(chunk.id, ChunkType::kData, {first}));
  store.put_all({chunk}, ChunkType::kData, {.excluded = {first}});
  must(index->refresh());
  const auto place = index->find(chunk.id, ChunkType::kData, {first});
  REQUIRE(place);
  CHECK(place->pack != first);
  CHECK(index->find_all(chunk.id, ChunkType::kData).size() == 2);
}
