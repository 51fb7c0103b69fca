// A pack with any byte changed, cut at any length, or missing: readers answer right bytes or the right code.
#include <filesystem>

#include "core/base/cancel.h"
#include "core/store/pack_reader.h"
#include "core/store/store_verify.h"
#include "test/store/store_fixture.h"

using namespace vzv;
using namespace vzv::test;

namespace {

struct Fixture {
  Fixture() : chunks{random_chunk(1, 60), plain_chunk(2, 400), random_chunk(3, 1)} {
    store.put_all(chunks);
    pack = store.packs().at(0);
    path = store.file(pack_name(pack));
    bytes = read_file(path);
    reader_index = store.index();
  }

  Store store;
  std::vector<TestChunk> chunks;
  Id pack;
  std::string path;
  Bytes bytes;
  std::shared_ptr<Index> reader_index;
};

// Whether the error names the chunk and the pack, as an administrator needs.
bool names(const Status& status, const Id& chunk, const Id& pack) {
  return status.message().find(chunk.hex().substr(0, 16)) != std::string::npos &&
         status.message().find(pack.hex().substr(0, 16)) != std::string::npos &&
         status.message().find('\n') == std::string::npos;
}

}  // namespace

TEST_CASE("a damaged pack yields right chunks or E_CHUNK_DAMAGED with chunk and pack named, never wrong bytes") {
  Fixture fixture;
  for_each_damage(fixture.bytes, [&](const Bytes& damaged, std::size_t at, bool cut) {
    write_file(fixture.path, damaged);
    ChunkReader reader(fixture.store.dir(), fixture.reader_index, 0);
    std::size_t failed = 0;
    for (const TestChunk& chunk : fixture.chunks) {
      const auto read = reader.read(chunk.id, ChunkType::kData, static_cast<std::uint32_t>(chunk.bytes.size()));
      if (read.ok()) {
        CHECK(*read.value() == chunk.bytes);
      } else {
        ++failed;
        CHECK(read.status().code() == Code::E_CHUNK_DAMAGED);
        CHECK(names(read.status(), chunk.id, fixture.pack));
      }
    }
    const bool in_first_chunk = at >= kPackHeaderBytes && at < kPackHeaderBytes + 60;
    if (in_first_chunk && !cut)
      CHECK(failed == 1);  // (a zstd frame has bits that change nothing in what it decodes to)
    if (at < kPackHeaderBytes && cut) CHECK(failed == 3);
  });
}

TEST_CASE("the table of a damaged pack is right or E_PACK_DAMAGED") {
  Fixture fixture;
  const auto table = must(must(PackReader::open(*fixture.store.dir(), fixture.pack))->table());
  const std::size_t chunks_end = fixture.bytes.size() - 3 * kPackEntryBytes - kPackTrailerBytes;
  for_each_damage(fixture.bytes, [&](const Bytes& damaged, std::size_t at, bool cut) {
    write_file(fixture.path, damaged);
    Result<std::shared_ptr<PackReader>> pack = PackReader::open(*fixture.store.dir(), fixture.pack);
    const Result<std::vector<PackEntry>> read = pack.ok() ? (*pack)->table() : pack.status();
    const bool in_chunks = !cut && at >= kPackHeaderBytes && at < chunks_end;
    CHECK(read.ok() == in_chunks);
    if (read.ok()) {
      CHECK(read.value() == table);
    } else {
      CHECK(read.status().code() == Code::E_PACK_DAMAGED);
      CHECK(read.status().message().find(fixture.pack.hex().substr(0, 16)) != std::string::npos);
    }
  });
}

TEST_CASE("verify finds every changed byte and every cut of a pack") {
  Fixture fixture;
  const CancelToken cancel;
  for_each_damage(fixture.bytes, [&](const Bytes& damaged, std::size_t, bool) {
    write_file(fixture.path, damaged);
    const VerifyReport report = must(verify_packs(*fixture.store.dir(), {.decode = false}, nullptr, cancel));
    REQUIRE_FALSE(report.damages.empty());
    for (const Status& damage : report.damages) CHECK(damage.code() == Code::E_PACK_DAMAGED);
  });
}

TEST_CASE("a pack that is missing when the index is opened makes its chunks unknown, and they are stored anew") {
  Fixture fixture;
  std::filesystem::remove(fixture.path);
  const auto reader = fixture.store.reader();
  const TestChunk& chunk = fixture.chunks[0];
  const Status status = reader->read(chunk.id, ChunkType::kData, 60).status();
  CHECK(status.code() == Code::E_CHUNK_MISSING);
  CHECK(names(status, chunk.id, fixture.pack));

  const auto writer = fixture.store.writer();
  CHECK(must(writer->put(ChunkType::kData, chunk.id, chunk.bytes)).put == Put::kStored);
  must(writer->flush());
  CHECK(*must(fixture.store.reader()->read(chunk.id, ChunkType::kData, 60)) == chunk.bytes);
}

TEST_CASE("a pack that goes missing under an open index is E_CHUNK_MISSING") {
  Fixture fixture;
  ChunkReader reader(fixture.store.dir(), fixture.reader_index, 0);
  std::filesystem::remove(fixture.path);
  const Status status = reader.read(fixture.chunks[1].id, ChunkType::kData, 400).status();
  CHECK(status.code() == Code::E_CHUNK_MISSING);
  CHECK(names(status, fixture.chunks[1].id, fixture.pack));
}

TEST_CASE("a chunk that is damaged in one pack is read from another that has it") {
  Fixture fixture;
  // A second writer that does not know of the first, as on another node, stores the same chunks.
  const auto other_index = fixture.store.fresh_index();
  std::filesystem::remove_all(fixture.store.file("index"));
  fixture.store.put_all(fixture.chunks);
  must(other_index->refresh());
  CHECK(fixture.store.packs().size() == 2);
  for (const Id& pack : fixture.store.packs()) {
    if (pack != fixture.pack) continue;
    Bytes damaged = fixture.bytes;
    for (std::size_t i = kPackHeaderBytes; i < damaged.size(); ++i) damaged[i] = 0;
    write_file(fixture.path, damaged);
  }
  const auto reader = fixture.store.reader();
  for (const TestChunk& chunk : fixture.chunks) {
    CHECK(*must(reader->read(chunk.id, ChunkType::kData, static_cast<std::uint32_t>(chunk.bytes.size()))) ==
          chunk.bytes);
  }
}
