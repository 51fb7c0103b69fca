#include <sys/resource.h>

#include <csignal>

#include "core/base/bytes.h"
#include "core/base/limits.h"
#include "core/store/pack_format.h"
#include "core/store/pack_reader.h"
#include "core/store/pack_writer.h"
#include "test/store/store_fixture.h"

using namespace vzv;
using namespace vzv::test;

namespace {

FinishedPack write_pack(const Store& store, const std::vector<TestChunk>& chunks) {
  const auto writer = must(PackWriter::create(store.dir()));
  for (const TestChunk& chunk : chunks) {
    must(writer->append(chunk.id, ChunkType::kData, static_cast<std::uint32_t>(chunk.bytes.size()),
                        must(encode(chunk.bytes, 1))));
  }
  return must(writer->finish());
}

// No file of this program can be longer than `bytes` while it lasts.
struct FileSizeLimit {
  explicit FileSizeLimit(rlim_t bytes) {
    ::getrlimit(RLIMIT_FSIZE, &before);
    const rlimit limit{bytes, before.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &before);
    ::signal(SIGXFSZ, handler);
  }

  rlimit before{};
  const sighandler_t handler = ::signal(SIGXFSZ, SIG_IGN);
};

}  // namespace

TEST_CASE("a pack of which a chunk did not arrive whole takes no other and is never finished") {
  const Store store;
  const TestChunk chunk = random_chunk(1, 2'000'000);
  const auto append = [&](PackWriter& writer) {
    const auto bytes = static_cast<std::uint32_t>(chunk.bytes.size());
    return writer.append(chunk.id, ChunkType::kData, bytes, must(encode(chunk.bytes, 1)));
  };
  const auto writer = must(PackWriter::create(store.dir()));
  must(append(*writer));
  Status failed;
  {
    const FileSizeLimit limit(0);
    failed = append(*writer);
  }
  REQUIRE_FALSE(failed.ok());
  // There is room again.
  CHECK(append(*writer).message() == failed.message());
  CHECK(writer->finish().status().message() == failed.message());
  CHECK(must(store.dir()->list("packs")).value_or(std::vector<DirectoryEntry>()).empty());
}

TEST_CASE("a pack is named by its bytes, and lists and yields its chunks") {
  const Store store;
  const std::vector<TestChunk> chunks{random_chunk(1, 700'000), plain_chunk(2, 700'000), random_chunk(3, 1)};
  const FinishedPack finished = write_pack(store, chunks);
  const Bytes file = read_file(store.file(pack_name(finished.id)));
  CHECK(sha256(file) == finished.id);
  CHECK(file.size() == finished.file_bytes);
  CHECK(store.unfinished().empty());

  const auto pack = must(PackReader::open(*store.dir(), finished.id));
  const std::vector<PackEntry> table = must(pack->table());
  REQUIRE(table.size() == 3);
  CHECK(table == finished.entries);
  CHECK(table[0].codec == Codec::kStored);
  CHECK(table[1].codec == Codec::kZstd);
  for (std::uint32_t n = 0; n < 3; ++n) {
    Bytes plain(table[n].plain_bytes);
    must(pack->read_chunk(table[n], n, plain));
    CHECK(plain == chunks[n].bytes);
  }
}

TEST_CASE("a pack lies in its file as docs/format.md draws it") {
  const Store store;
  const TestChunk chunk = random_chunk(1, 5);
  const Bytes file = read_file(store.file(pack_name(write_pack(store, {chunk}).id)));
  REQUIRE(file.size() == 48 + 5 + 52 + 48);
  ByteReader reader(file);
  CHECK(reader.magic("VZVPACK\n"));
  CHECK(reader.u16() == 1);
  CHECK(reader.u16() == 0);
  CHECK(reader.u32() == 0);
  CHECK_FALSE(reader.zeroes(32));
  const ByteSpan stored = reader.bytes(5);
  CHECK(Bytes(stored.begin(), stored.end()) == chunk.bytes);
  CHECK(reader.id() == chunk.id);
  CHECK(reader.u8() == 1);   // type
  CHECK(reader.u8() == 0);   // codec
  CHECK(reader.u16() == 0);  // reserved
  CHECK(reader.u32() == 5);  // stored length
  CHECK(reader.u32() == 5);  // plain length
  CHECK(reader.u64() == 48);
  CHECK(reader.u32() == 1);   // entries
  CHECK(reader.u32() == 52);  // table length
  Sha256 hash;
  hash.update(ByteSpan(file).first(48));
  hash.update(ByteSpan(file).subspan(53, 52 + 8));
  CHECK(reader.id() == hash.finish());
  CHECK(reader.magic("VZVPEND\n"));
  CHECK(reader.remaining() == 0);
}

TEST_CASE("two packs of the same chunks have different salts and names") {
  const Store store;
  const TestChunk chunk = random_chunk(1, 5);
  CHECK(write_pack(store, {chunk}).id != write_pack(store, {chunk}).id);
}

TEST_CASE("a pack that is absent is E_PACK_MISSING") {
  const Store store;
  const Status status = PackReader::open(*store.dir(), random_chunk(1).id).status();
  CHECK(status.code() == Code::E_PACK_MISSING);
  CHECK(status.message().find(random_chunk(1).id.hex()) != std::string::npos);
}

namespace {

const Bytes kHeader = encode_pack_header({});

// A table of these entries, each with the file size that it belongs to.
Result<std::vector<PackEntry>> decode_table_of(const std::vector<PackEntry>& entries, std::uint64_t chunk_bytes) {
  const Bytes tail = encode_pack_tail(kHeader, entries);
  const ByteSpan table = ByteSpan(tail).first(tail.size() - kPackTrailerBytes);
  return decode_pack_table(table, kPackHeaderBytes + chunk_bytes + tail.size());
}

PackEntry entry_at(std::uint64_t offset, std::uint32_t stored_bytes) {
  return {random_chunk(offset).id, ChunkType::kData, Codec::kStored, stored_bytes, stored_bytes, offset};
}

}  // namespace

TEST_CASE("refuses a pack whose table points past its end, overlaps, or leaves gaps") {
  CHECK(decode_table_of({entry_at(48, 10), entry_at(58, 5)}, 15).ok());
  CHECK_FALSE(decode_table_of({entry_at(48, 10), entry_at(58, 6)}, 15).ok());
  CHECK_FALSE(decode_table_of({entry_at(48, 10), entry_at(58, 4)}, 15).ok());
  CHECK_FALSE(decode_table_of({entry_at(48, 10), entry_at(57, 5)}, 15).ok());
  CHECK_FALSE(decode_table_of({entry_at(48, 10), entry_at(59, 4)}, 15).ok());
  CHECK_FALSE(decode_table_of({entry_at(47, 15)}, 15).ok());
  CHECK_FALSE(decode_table_of({entry_at(1ULL << 63, 15)}, 15).ok());
  CHECK_FALSE(decode_table_of({entry_at(48, 0)}, 0).ok());
  CHECK_FALSE(decode_table_of({entry_at(48, limits::kStoredChunkMaxBytes + 1)}, limits::kStoredChunkMaxBytes + 1).ok());
}

TEST_CASE("refuses a table with lengths, types or codecs that the format does not have") {
  PackEntry entry = entry_at(48, 10);
  entry.plain_bytes = limits::kDataChunkMaxBytes;
  CHECK(decode_table_of({entry}, 10).ok());
  entry.plain_bytes = limits::kDataChunkMaxBytes + 1;
  CHECK_FALSE(decode_table_of({entry}, 10).ok());
  entry.plain_bytes = 0;
  CHECK_FALSE(decode_table_of({entry}, 10).ok());
  entry = entry_at(48, 10);
  entry.type = ChunkType::kMapNode;
  entry.plain_bytes = limits::kMapNodeMaxBytes;
  CHECK(decode_table_of({entry}, 10).ok());
  entry.plain_bytes = limits::kMapNodeMaxBytes + 1;
  CHECK_FALSE(decode_table_of({entry}, 10).ok());
  entry = entry_at(48, 10);
  entry.type = ChunkType::kCatalogue;
  entry.plain_bytes = limits::kCataloguePieceMaxBytes;
  CHECK(decode_table_of({entry}, 10).ok());
  entry.plain_bytes = limits::kCataloguePieceMaxBytes + 1;
  CHECK_FALSE(decode_table_of({entry}, 10).ok());
  entry = entry_at(48, 10);
  entry.type = static_cast<ChunkType>(4);
  CHECK_FALSE(decode_table_of({entry}, 10).ok());
  entry = entry_at(48, 10);
  entry.codec = static_cast<Codec>(2);
  CHECK_FALSE(decode_table_of({entry}, 10).ok());
}

TEST_CASE("refuses a header of another magic, version, suite, or with reserved bits") {
  CHECK(decode_pack_header(kHeader).ok());
  const auto code = [](std::size_t at) {
    Bytes header = kHeader;
    header[at] ^= 1;
    return decode_pack_header(header).status().code();
  };
  CHECK(code(0) == Code::E_PACK_DAMAGED);
  CHECK(code(8) == Code::E_PACK_DAMAGED);
  CHECK(code(11) == Code::E_SUITE_UNKNOWN);
  CHECK(code(12) == Code::E_PACK_DAMAGED);
}

TEST_CASE("refuses a trailer whose table cannot be in the file") {
  const Bytes tail = encode_pack_tail(kHeader, {entry_at(48, 10)});
  const ByteSpan trailer = ByteSpan(tail).last(kPackTrailerBytes);
  CHECK(decode_pack_trailer(trailer, 48 + 10 + tail.size()).ok());
  CHECK_FALSE(decode_pack_trailer(trailer, tail.size()).ok());
  CHECK_FALSE(decode_pack_trailer(trailer, 10).ok());
  CHECK_FALSE(decode_pack_trailer(trailer, limits::kPackMaxBytes + 1).ok());
  Bytes many(trailer.begin(), trailer.end());
  many[3] = 0xff;
  CHECK_FALSE(decode_pack_trailer(many, limits::kPackMaxBytes).ok());
  Bytes none(trailer.begin(), trailer.end());
  none[0] = none[4] = 0;
  CHECK_FALSE(decode_pack_trailer(none, limits::kPackMaxBytes).ok());
}
