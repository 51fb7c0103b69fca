#include "core/store/chunk_writer.h"

#include <filesystem>
#include <thread>

#include "core/store/pack_reader.h"
#include "test/store/store_fixture.h"

using namespace vzv;
using namespace vzv::test;

TEST_CASE("a chunk is stored once, whoever comes with it again") {
  Store store;
  const TestChunk chunk = random_chunk(1);
  const auto writer = store.writer();
  CHECK(must(writer->put(ChunkType::kData, chunk.id, chunk.bytes)).put == Put::kStored);
  CHECK(must(writer->put(ChunkType::kData, chunk.id, chunk.bytes)).put == Put::kReused);
  must(writer->flush());
  CHECK(must(writer->put(ChunkType::kData, chunk.id, chunk.bytes)).put == Put::kReused);
  CHECK(must(store.writer()->put(ChunkType::kData, chunk.id, chunk.bytes)).put == Put::kReused);
  must(writer->flush());
  CHECK(store.packs().size() == 1);
  CHECK(store.segments().size() == 1);
}

TEST_CASE("id and type together are a chunk's key") {
  Store store;
  const TestChunk chunk = random_chunk(1);
  const auto writer = store.writer();
  CHECK(must(writer->put(ChunkType::kData, chunk.id, chunk.bytes)).put == Put::kStored);
  CHECK(must(writer->put(ChunkType::kMapNode, chunk.id, chunk.bytes)).put == Put::kStored);
  must(writer->flush());
  CHECK(store.packs().size() == 2);  // map nodes have packs of their own
  CHECK(store.segments().size() == 1);
}

TEST_CASE("nothing is written before the first chunk, nothing is left of a writer that is given up") {
  Store store;
  {
    const auto writer = store.writer();
    must(writer->flush());
    CHECK(must(store.dir()->list(""))->empty());
    must(writer->put(ChunkType::kData, random_chunk(1).id, random_chunk(1).bytes));
    CHECK(store.unfinished().size() == 1);
  }
  CHECK(store.unfinished().empty());
  CHECK(store.packs().empty());
}

TEST_CASE("packs are finished at their target, segments at theirs, and only durable packs are listed") {
  Store store;
  const auto index = store.index();
  const auto writer =
      must(ChunkWriter::create(store.dir(), index, {.pack_target_bytes = 10'000, .segment_entries = 25}));
  std::vector<TestChunk> chunks;
  for (std::uint64_t n = 0; n < 100; ++n) {
    chunks.push_back(random_chunk(n));
    must(writer->put(ChunkType::kData, chunks.back().id, chunks.back().bytes));
    // What a segment lists is there already: order of docs/format.md.
    for (const Id& segment : index->segments()) {
      const auto bytes = read_file(store.file(segment_name(segment)));
      const SegmentView view = must(SegmentView::parse(bytes));
      for (std::uint32_t i = 0; i < view.packs(); ++i) REQUIRE(must(store.dir()->status(pack_name(view.pack(i)))));
    }
  }
  CHECK(store.packs().size() >= 9);
  CHECK(index->segments().size() >= 3);
  must(writer->flush());
  CHECK(store.unfinished().empty());
  const auto reader = store.fresh_reader();
  for (const TestChunk& chunk : chunks) CHECK(*must(reader->read(chunk.id, ChunkType::kData, 1000)) == chunk.bytes);
  std::uint64_t bytes = 0;
  for (const Id& pack : store.packs()) bytes += file_size(store.file(pack_name(pack)));
  for (const Id& segment : store.segments()) bytes += file_size(store.file(segment_name(segment)));
  CHECK(writer->added_bytes() == bytes);
}

TEST_CASE("chunks that shrink to nothing fill a pack by their number") {
  Store store;
  const auto writer = store.writer({.segment_entries = 10});
  for (std::uint64_t n = 0; n < 35; ++n) {
    const TestChunk chunk = plain_chunk(n);
    must(writer->put(ChunkType::kData, chunk.id, chunk.bytes));
  }
  must(writer->flush());
  CHECK(store.packs().size() == 4);
}

TEST_CASE("threads that put the same chunks at once store each one once") {
  Store store;
  const auto writer = store.writer({.pack_target_bytes = 20'000, .segment_entries = 40});
  constexpr std::uint64_t kChunks = 300;
  std::atomic<std::uint64_t> stored{0}, failed{0};
  std::vector<std::thread> threads;
  for (std::uint64_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (std::uint64_t n = 0; n < kChunks; ++n) {
        const TestChunk chunk = random_chunk((n * 7 + t * 13) % kChunks);
        const Result<PutResult> put = writer->put(ChunkType::kData, chunk.id, chunk.bytes);
        if (!put.ok()) ++failed;
        if (put.ok() && put.value().put == Put::kStored) ++stored;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  must(writer->flush());
  CHECK(failed == 0);
  CHECK(stored == kChunks);
  std::size_t listed = 0;
  for (const Id& pack : store.packs()) listed += must(must(PackReader::open(*store.dir(), pack))->table()).size();
  CHECK(listed == kChunks);
  const auto reader = store.fresh_reader();
  for (std::uint64_t n = 0; n < kChunks; ++n) {
    const TestChunk chunk = random_chunk(n);
    CHECK(*must(reader->read(chunk.id, ChunkType::kData, 1000)) == chunk.bytes);
  }
}

TEST_CASE("a chunk is durable when its pack is, for everyone who put it, and never where the pack fails") {
  Store store;
  const auto writer = store.writer({.pack_target_bytes = 5'000});
  const auto put = [&](const TestChunk& chunk) { return must(writer->put(ChunkType::kData, chunk.id, chunk.bytes)); };
  const PutResult first = put(random_chunk(0));
  const PutResult again = put(random_chunk(0));
  CHECK(first.put == Put::kStored);
  CHECK(first.stored_bytes >= 1000);
  CHECK(again.put == Put::kReused);
  CHECK(again.stored_bytes == 0);
  CHECK_FALSE(first.durability.reached());
  CHECK_FALSE(again.durability.reached());
  CHECK(first.durability == again.durability);
  PutResult last = first;
  for (std::uint64_t n = 1; store.packs().empty(); ++n) {
    CHECK_FALSE(first.durability.reached());
    last = put(random_chunk(n));
  }
  CHECK(first.durability.reached());
  CHECK(again.durability.reached());
  CHECK(last.durability.reached());
  const PutResult next = put(random_chunk(100));
  CHECK_FALSE(next.durability.reached());
  must(writer->flush());
  CHECK(next.durability.reached());
  CHECK(put(random_chunk(100)).durability.reached());  // from the index

  // packs/ is out of the way: what is put now cannot be made durable.
  std::filesystem::rename(store.file("packs"), store.file("elsewhere"));
  write_file(store.file("packs"), Bytes{1});
  const PutResult lost = put(random_chunk(200));
  CHECK(writer->flush().code() == Code::E_STORAGE_IO);
  CHECK_FALSE(lost.durability.reached());
}

TEST_CASE("options out of range are refused") {
  Store store;
  const auto code = [&](ChunkWriterOptions options) {
    return ChunkWriter::create(store.dir(), store.index(), options).status().code();
  };
  CHECK(code({.pack_target_bytes = 0}) == Code::E_ARGUMENT_INVALID);
  CHECK(code({.pack_target_bytes = limits::kPackTargetMaxBytes + 1}) == Code::E_ARGUMENT_INVALID);
  CHECK(code({.segment_entries = 0}) == Code::E_ARGUMENT_INVALID);
}

TEST_CASE("a chunk that cannot be one fails the writer for good") {
  Store store;
  const auto writer = store.writer();
  CHECK(writer->put(ChunkType::kData, random_chunk(1).id, {}).status().code() == Code::E_INTERNAL);
  CHECK(writer->put(ChunkType::kData, random_chunk(2).id, random_chunk(2).bytes).status().code() == Code::E_INTERNAL);
  CHECK(writer->flush().code() == Code::E_INTERNAL);
  const auto other = store.writer();
  CHECK(other->put(ChunkType::kMapNode, random_chunk(1).id, Bytes(limits::kMapNodeMaxBytes + 1)).status().code() ==
        Code::E_INTERNAL);
}
