// Who has the key and who has none: what each can do, and what happens to files that are not the repository's.
#include "core/base/cancel.h"
#include "core/store/pack_reader.h"
#include "core/store/segment_writer.h"
#include "core/store/store_verify.h"
#include "test/store/store_fixture.h"

using namespace vzv;
using namespace vzv::test;

namespace {

struct Fixture {
  Fixture() : chunk(sealed_chunk(keys_of(7), random_chunk(1, 500))) {
    store.keys = keys_of(7);
    store.put_all({chunk});
  }

  Result<ChunkReader::Chunk> read(const RepositoryKeysPtr& keys) {
    const auto index = must(Index::open(store.dir(), store.cache_path(), known_suite_of(keys.get())));
    return ChunkReader(store.dir(), index, 0, keys).read(chunk.id, ChunkType::kData, 500);
  }
  Result<VerifyReport> verify(bool decode, const RepositoryKeysPtr& keys) {
    const CancelToken cancel;
    return verify_packs(*store.dir(), {.decode = decode, .keys = keys}, nullptr, cancel);
  }

  Store store;
  TestChunk chunk;
};

// Puts a pack and a segment of the other suite into the repository, as a tamperer might. Answers its chunk.
TestChunk plant(Store& store, const RepositoryKeysPtr& keys) {
  Store other(store.file("..") + "/other");
  other.keys = keys;
  const TestChunk chunk = sealed_chunk(keys, random_chunk(2, 300));
  other.put_all({chunk});
  for (const Id& pack : other.packs()) {
    must(store.dir()->put_if_absent(pack_name(pack), read_file(other.file(pack_name(pack)))));
  }
  for (const Id& segment : other.segments()) {
    must(store.dir()->put_if_absent(segment_name(segment), read_file(other.file(segment_name(segment)))));
  }
  return chunk;
}

}  // namespace

TEST_CASE("without the key chunks are E_KEY_MISSING, with another one E_CHUNK_DAMAGED") {
  Fixture fixture;
  CHECK(*must(fixture.read(keys_of(7))) == fixture.chunk.bytes);
  const Status missing = fixture.read(nullptr).status();
  CHECK(missing.code() == Code::E_KEY_MISSING);
  CHECK(missing.message().find('\n') == std::string::npos);
  CHECK(fixture.read(keys_of(8)).status().code() == Code::E_CHUNK_DAMAGED);
}

TEST_CASE("without the key nothing is written into a repository that holds encrypted chunks") {
  Fixture fixture;
  const auto index = must(Index::open(fixture.store.dir(), fixture.store.cache_path()));
  CHECK(ChunkWriter::create(fixture.store.dir(), index).status().code() == Code::E_KEY_MISSING);
}

TEST_CASE("names, tables and segments of encrypted packs are verified without a key, their chunks are not") {
  Fixture fixture;
  const VerifyReport report = must(fixture.verify(false, nullptr));
  CHECK(report.damages.empty());
  CHECK(report.packs == 1);
  CHECK(report.chunks == 1);
  CHECK(report.segments == 1);
  CHECK(fixture.verify(true, nullptr).status().code() == Code::E_KEY_MISSING);
  CHECK(must(fixture.verify(true, keys_of(7))).damages.empty());
  const VerifyReport wrong = must(fixture.verify(true, keys_of(8)));
  REQUIRE(wrong.damages.size() == 1);
  CHECK(wrong.damages[0].code() == Code::E_CHUNK_DAMAGED);

  const Id pack = fixture.store.packs().at(0);
  const auto reader = must(PackReader::open(*fixture.store.dir(), pack));
  CHECK(must(reader->table()).at(0).id == fixture.chunk.id);
  CHECK(reader->readable().code() == Code::E_KEY_MISSING);
}

TEST_CASE("an index without a key counts what an encrypted repository holds") {
  Fixture fixture;
  const auto index = must(Index::open(fixture.store.dir(), fixture.store.cache_path()));
  CHECK(index->statistics().chunks == 1);
  CHECK(index->lists(Suite::kAes256Gcm));
  CHECK_FALSE(index->lists(Suite::kNone));
}

TEST_CASE("a chunk that is stored already is found by its keyed id, and only with the same key") {
  Fixture fixture;
  const auto writer = fixture.store.writer();
  CHECK(must(writer->put(ChunkType::kData, fixture.chunk.id, fixture.chunk.bytes)).put == Put::kReused);
  const Id other = chunk_id(keys_of(8).get(), fixture.chunk.bytes);
  CHECK(other != fixture.chunk.id);
  CHECK(sha256(fixture.chunk.bytes) != fixture.chunk.id);
}

TEST_CASE("packs and segments that are not encrypted are not believed in an encrypted repository") {
  Fixture fixture;
  const TestChunk planted = plant(fixture.store, nullptr);
  const auto index = fixture.store.index();
  REQUIRE(index->damaged_segments().size() == 1);
  CHECK(index->damaged_segments()[0].code() == Code::E_SUITE_MISMATCH);
  CHECK_FALSE(index->find(planted.id, ChunkType::kData));
  CHECK(*must(fixture.read(fixture.store.keys)) == fixture.chunk.bytes);
  // Also where a segment of the right suite lists them: it is the pack that counts.
  for (const Id& id : fixture.store.packs()) {
    const auto pack = must(PackReader::open(*fixture.store.dir(), id, fixture.store.keys));
    const bool is_planted = pack->header().suite == Suite::kNone;
    CHECK(pack->readable().code() == (is_planted ? Code::E_SUITE_MISMATCH : Code::kOk));
    const auto table = must(pack->table());
    Bytes plain(table[0].plain_bytes);
    CHECK(pack->read_chunk(table[0], 0, plain).ok() == !is_planted);
    if (is_planted) must(write_segment(*fixture.store.dir(), Suite::kAes256Gcm, {{id, pack->file_bytes(), table}}));
  }
  const auto reader = fixture.store.fresh_reader();
  CHECK(reader->read(planted.id, ChunkType::kData, 300).status().code() == Code::E_CHUNK_DAMAGED);
  for (const bool decode : {false, true}) {
    const VerifyReport report = must(fixture.verify(decode, fixture.store.keys));
    REQUIRE(report.damages.size() == 2);  // pack and segment
    for (const Status& damage : report.damages) CHECK(damage.code() == Code::E_SUITE_MISMATCH);
  }
}

TEST_CASE("encrypted packs are not read in a repository that is not encrypted") {
  Store store;
  const TestChunk own = random_chunk(1, 200);
  store.put_all({own});
  const TestChunk planted = plant(store, keys_of(7));
  const auto reader = store.fresh_reader();
  CHECK(*must(reader->read(own.id, ChunkType::kData, 200)) == own.bytes);
  CHECK(reader->read(planted.id, ChunkType::kData, 300).status().code() == Code::E_KEY_MISSING);
}
