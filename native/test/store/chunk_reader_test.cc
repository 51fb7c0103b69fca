#include "core/store/chunk_reader.h"

#include <atomic>
#include <thread>

#include "test/store/store_fixture.h"

using namespace vzv;
using namespace vzv::test;

TEST_CASE("a chunk that nobody stored is E_CHUNK_MISSING by name") {
  Store store;
  const Id id = random_chunk(1).id;
  const Status status = store.reader()->read(id, ChunkType::kData, 1000).status();
  CHECK(status.code() == Code::E_CHUNK_MISSING);
  CHECK(status.message().find(id.hex().substr(0, 16)) != std::string::npos);
}

TEST_CASE("chunks are read once while the cache holds them, least recently used out first") {
  Store store;
  const std::vector<TestChunk> chunks{random_chunk(1), random_chunk(2), random_chunk(3)};
  store.put_all(chunks);
  const auto reader = store.reader(2500);  // two of them
  const auto read = [&](std::size_t n) {
    CHECK(*must(reader->read(chunks[n].id, ChunkType::kData, 1000)) == chunks[n].bytes);
  };
  read(0);
  read(1);
  read(0);
  CHECK(reader->counters().chunks_read == 2);
  CHECK(reader->counters().cache_hits == 1);
  CHECK(reader->counters().stored_bytes_read == 2000);
  read(2);  // chunk 1 goes
  read(0);
  CHECK(reader->counters().chunks_read == 3);
  read(1);
  CHECK(reader->counters().chunks_read == 4);
}

TEST_CASE("a thread that believes in a wrong length does not spoil the read of one that knows the right one") {
  Store store;
  const TestChunk chunk = random_chunk(1);
  store.put_all({chunk});
  const auto reader = store.reader();
  std::atomic<bool> stopped{false};
  std::thread wrong([&] {
    while (!stopped) CHECK(reader->read(chunk.id, ChunkType::kData, 999).status().code() == Code::E_CHUNK_DAMAGED);
  });
  int failed = 0;
  for (int i = 0; i < 3'000; ++i) failed += reader->read(chunk.id, ChunkType::kData, 1000).ok() ? 0 : 1;
  stopped = true;
  wrong.join();
  CHECK(failed == 0);
}

TEST_CASE("a reader without a cache keeps nothing") {
  Store store;
  store.put_all({random_chunk(1)});
  const auto reader = store.reader(0);
  for (int i = 0; i < 3; ++i) must(reader->read(random_chunk(1).id, ChunkType::kData, 1000));
  CHECK(reader->counters().chunks_read == 3);
}

TEST_CASE("a chunk of another length than the map says is damage, cached or not") {
  Store store;
  store.put_all({random_chunk(1)});
  const auto reader = store.reader(100'000);
  CHECK(reader->read(random_chunk(1).id, ChunkType::kData, 999).status().code() == Code::E_CHUNK_DAMAGED);
  must(reader->read(random_chunk(1).id, ChunkType::kData, 1000));
  CHECK(reader->read(random_chunk(1).id, ChunkType::kData, 1001).status().code() == Code::E_CHUNK_DAMAGED);
}

TEST_CASE("threads that want one chunk share one read") {
  Store store;
  const TestChunk chunk = random_chunk(1, 4'000'000);
  store.put_all({chunk});
  const auto reader = store.reader(16'000'000);
  std::vector<std::thread> threads;
  std::atomic<int> right{0};
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      const auto read = reader->read(chunk.id, ChunkType::kData, 4'000'000);
      if (read.ok() && *read.value() == chunk.bytes) ++right;
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(right == 8);
  CHECK(reader->counters().chunks_read == 1);
  CHECK(reader->counters().cache_hits == 7);
}

TEST_CASE("threads that want one damaged chunk all learn of it") {
  Store store;
  const TestChunk chunk = random_chunk(1, 100'000);
  store.put_all({chunk});
  const std::string path = store.file(pack_name(store.packs()[0]));
  Bytes pack = read_file(path);
  pack[1000] ^= 1;
  write_file(path, pack);
  const auto reader = store.reader(16'000'000);
  std::vector<std::thread> threads;
  std::atomic<int> damaged{0};
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      if (reader->read(chunk.id, ChunkType::kData, 100'000).status().code() == Code::E_CHUNK_DAMAGED) ++damaged;
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(damaged == 8);
}

TEST_CASE("more packs than stay open are read all the same, from several threads") {
  Store store;
  std::vector<TestChunk> chunks;
  for (std::uint64_t n = 0; n < 80; ++n) chunks.push_back(random_chunk(n, 200));
  store.put_all(chunks, ChunkType::kData, {.pack_target_bytes = 1});
  CHECK(store.packs().size() == 80);
  const auto reader = store.reader(1000);
  std::vector<std::thread> threads;
  std::atomic<int> right{0};
  for (std::size_t t = 0; t < 3; ++t) {
    threads.emplace_back([&, t] {
      for (std::size_t n = 0; n < 160; ++n) {
        const TestChunk& chunk = chunks[(n * 7 + t) % 80];
        const auto read = reader->read(chunk.id, ChunkType::kData, 200);
        if (read.ok() && *read.value() == chunk.bytes) ++right;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(right == 3 * 160);
}

TEST_CASE("what another writer stored, or a collection moved, is found without being told") {
  Store store;
  const TestChunk first = random_chunk(1), second = random_chunk(2);
  store.put_all({first});
  const Id pack = store.packs().at(0);
  const auto index = store.index();
  ChunkReader reader(store.dir(), index, 0);

  SUBCASE("stored since") {
    store.put_all({second});
    CHECK(*must(reader.read(second.id, ChunkType::kData, 1000)) == second.bytes);
  }
  SUBCASE("stored since, by its length") {
    store.put_all({second});
    CHECK(*must(reader.read(second.id, ChunkType::kData)) == second.bytes);
  }
  SUBCASE("moved") {
    store.put_all({first}, ChunkType::kData, {.excluded = {pack}});
    CHECK(must(store.dir()->remove(pack_name(pack))));
    CHECK(*must(reader.read(first.id, ChunkType::kData, 1000)) == first.bytes);
  }
  SUBCASE("damaged, and stored again") {
    store.put_all({first}, ChunkType::kData, {.excluded = {pack}});
    Bytes bytes = read_file(store.file(pack_name(pack)));
    bytes[100] ^= 1;
    write_file(store.file(pack_name(pack)), bytes);
    CHECK(*must(reader.read(first.id, ChunkType::kData, 1000)) == first.bytes);
  }
}

TEST_CASE("a chunk that is really gone costs one refresh, not one a read") {
  Store store;
  store.put_all({random_chunk(1)});
  const auto index = store.index();
  ChunkReader reader(store.dir(), index, 0);
  const std::uint64_t before = index->generation();
  for (int i = 0; i < 50; ++i) {
    CHECK(reader.read(random_chunk(2).id, ChunkType::kData, 1000).status().code() == Code::E_CHUNK_MISSING);
  }
  CHECK(index->generation() == before + 1);
}
