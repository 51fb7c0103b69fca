// Packs of an encrypted repository: right chunks or a refusal, whatever is done to the file.
#include <filesystem>
#include <map>
#include <set>

#include "core/base/bytes.h"
#include "core/store/pack_reader.h"
#include "test/store/store_fixture.h"

using namespace vzv;
using namespace vzv::test;

namespace {

// Three chunks in one pack; the first two take the same space.
struct Fixture {
  Fixture() {
    store.keys = keys_of(7);
    for (TestChunk chunk : {random_chunk(1, 60), random_chunk(2, 60), plain_chunk(3, 400)}) {
      chunks.push_back(sealed_chunk(store.keys, std::move(chunk)));
    }
    store.put_all(chunks);
    pack = store.packs().at(0);
    path = store.file(pack_name(pack));
    bytes = read_file(path);
    table = must(must(PackReader::open(*store.dir(), pack))->table());
    index = store.index();
  }

  // How many of the chunks are refused; the others must be right.
  std::size_t refused() const {
    ChunkReader reader(store.dir(), index, 0, store.keys);
    std::size_t count = 0;
    for (const TestChunk& chunk : chunks) {
      const auto read = reader.read(chunk.id, ChunkType::kData, static_cast<std::uint32_t>(chunk.bytes.size()));
      if (read.ok()) {
        CHECK(**read == chunk.bytes);
      } else {
        ++count;
        CHECK(read.status().code() == Code::E_CHUNK_DAMAGED);
        CHECK(read.status().message().find(pack.hex().substr(0, 16)) != std::string::npos);
      }
    }
    return count;
  }

  Store store;
  std::vector<TestChunk> chunks;
  Id pack;
  std::string path;
  Bytes bytes;
  std::vector<PackEntry> table;
  std::shared_ptr<Index> index;
};

std::size_t table_at(const Bytes& file, std::size_t entries) {
  return file.size() - kPackTrailerBytes - entries * kPackEntryBytes;
}

// With a digest that fits header and table: what somebody writes who has no key, but knows the format.
Bytes with_right_digest(Bytes file, std::size_t entries) {
  const std::size_t trailer_at = file.size() - kPackTrailerBytes;
  Sha256 hash;
  hash.update(ByteSpan(file).first(kPackHeaderBytes));
  hash.update(ByteSpan(file).subspan(table_at(file, entries), entries * kPackEntryBytes + 8));
  const Id digest = hash.finish();
  std::copy(digest.bytes.begin(), digest.bytes.end(), file.begin() + static_cast<std::ptrdiff_t>(trailer_at + 8));
  return file;
}

// Reads every chunk that the file's own table lists: right bytes for their id, or a refusal.
std::size_t read_by_table(Fixture& fixture, const Bytes& file) {
  write_file(fixture.path, file);
  const auto pack = PackReader::open(*fixture.store.dir(), fixture.pack, fixture.store.keys);
  const auto table = pack.ok() ? (*pack)->table() : Result<std::vector<PackEntry>>(pack.status());
  if (!table.ok()) {
    CHECK((table.status().code() == Code::E_PACK_DAMAGED || table.status().code() == Code::E_SUITE_UNKNOWN));
    return fixture.chunks.size();
  }
  std::size_t count = 0;
  for (std::uint32_t ordinal = 0; ordinal < table->size(); ++ordinal) {
    const PackEntry& entry = (*table)[ordinal];
    Bytes plain(entry.plain_bytes);
    const Status status = (*pack)->read_chunk(entry, ordinal, plain);
    if (status.ok()) {
      CHECK(entry == fixture.table[ordinal]);
      CHECK(plain == fixture.chunks[ordinal].bytes);
    } else {
      ++count;
      CHECK((status.code() == Code::E_CHUNK_DAMAGED || status.code() == Code::E_SUITE_MISMATCH));
    }
  }
  return count;
}

}  // namespace

TEST_CASE("encrypted chunks of every type and codec come back, and the pack shows nothing of them") {
  Store store;
  store.keys = keys_of(7);
  for (const ChunkType type : {ChunkType::kData, ChunkType::kMapNode, ChunkType::kCatalogue}) {
    const std::vector<TestChunk> chunks{
        sealed_chunk(store.keys, random_chunk(1, 9'000)), sealed_chunk(store.keys, plain_chunk(2, 9'000)),
        sealed_chunk(store.keys, random_chunk(3, 1)), sealed_chunk(store.keys, random_chunk(4, plain_max_bytes(type)))};
    store.put_all(chunks, type);
    const auto reader = store.reader();
    for (const TestChunk& chunk : chunks) {
      CHECK(*must(reader->read(chunk.id, type, static_cast<std::uint32_t>(chunk.bytes.size()))) == chunk.bytes);
      CHECK(*must(reader->read(chunk.id, type)) == chunk.bytes);
    }
  }
  std::set<Codec> codecs;
  for (const Id& id : store.packs()) {
    const auto pack = must(PackReader::open(*store.dir(), id, store.keys));
    CHECK(pack->header().suite == Suite::kAes256Gcm);
    for (const PackEntry& entry : must(pack->table())) {
      codecs.insert(entry.codec);
      if (entry.codec == Codec::kStored) CHECK(entry.stored_bytes == entry.plain_bytes + 16);
    }
    const Bytes file = read_file(store.file(pack_name(id)));
    const Bytes start = random_chunk(1, 20).bytes;
    CHECK(std::search(file.begin(), file.end(), start.begin(), start.end()) == file.end());
  }
  CHECK(codecs.size() == 2);
}

TEST_CASE("an encrypted pack with any byte changed or cut yields right chunks or E_CHUNK_DAMAGED") {
  Fixture fixture;
  for_each_damage(fixture.bytes, [&](const Bytes& damaged, std::size_t at, bool cut) {
    write_file(fixture.path, damaged);
    const std::size_t refused = fixture.refused();
    if (cut) return;
    // Unlike without encryption, nothing of a chunk's bytes can change unnoticed, and the header is part of all.
    if (at < kPackHeaderBytes) CHECK(refused == 3);
    if (at >= kPackHeaderBytes && at < table_at(fixture.bytes, 3)) CHECK(refused == 1);
  });
  write_file(fixture.path, fixture.bytes);
  CHECK(fixture.refused() == 0);
}

TEST_CASE("whatever field of header or table is changed, with a digest that fits, no chunk is taken for another") {
  Fixture fixture;
  const std::size_t table_begin = table_at(fixture.bytes, 3);
  for (std::size_t at = 8; at < fixture.bytes.size() - kPackTrailerBytes; ++at) {
    if (at >= kPackHeaderBytes && at < table_begin) continue;
    CAPTURE(at);
    for (const std::uint8_t mask : {0x01, 0x02, 0x80, 0xff}) {
      Bytes changed = fixture.bytes;
      changed[at] ^= mask;
      const std::size_t refused = read_by_table(fixture, with_right_digest(changed, 3));
      CHECK(refused >= (at < kPackHeaderBytes ? 3 : 1));
    }
  }
  CHECK(read_by_table(fixture, with_right_digest(fixture.bytes, 3)) == 0);
}

TEST_CASE("chunks that changed places in their pack are refused, with or without their table entries") {
  Fixture fixture;
  REQUIRE(fixture.table[0].stored_bytes == fixture.table[1].stored_bytes);
  const std::size_t length = fixture.table[0].stored_bytes;
  Bytes swapped = fixture.bytes;
  const auto first = swapped.begin() + kPackHeaderBytes;
  std::swap_ranges(first, first + static_cast<std::ptrdiff_t>(length), first + static_cast<std::ptrdiff_t>(length));
  write_file(fixture.path, swapped);
  CHECK(fixture.refused() == 2);
  CHECK(read_by_table(fixture, swapped) == 2);

  // The entries with them, but for the offsets, which must ascend: each chunk now has the other's ordinal.
  const auto entry = swapped.begin() + static_cast<std::ptrdiff_t>(table_at(swapped, 3));
  std::swap_ranges(entry, entry + 44, entry + kPackEntryBytes);
  const Bytes forged = with_right_digest(swapped, 3);
  write_file(fixture.path, forged);
  const auto pack = must(PackReader::open(*fixture.store.dir(), fixture.pack, fixture.store.keys));
  const auto table = must(pack->table());
  CHECK(table[0].id == fixture.chunks[1].id);
  for (std::uint32_t ordinal = 0; ordinal < 2; ++ordinal) {
    Bytes plain(table[ordinal].plain_bytes);
    CHECK(pack->read_chunk(table[ordinal], ordinal, plain).code() == Code::E_CHUNK_DAMAGED);
  }
}

TEST_CASE("chunks and headers of two encrypted packs cannot be mixed, even where both hold the same chunks") {
  Fixture one;
  // The same chunks again, as a writer stores them that does not know of the first pack.
  std::filesystem::remove_all(one.store.file("index"));
  (void)one.store.fresh_index();
  one.store.put_all(one.chunks);
  REQUIRE(one.store.packs().size() == 2);
  const Id other = one.store.packs()[0] == one.pack ? one.store.packs()[1] : one.store.packs()[0];
  const Bytes second = read_file(one.store.file(pack_name(other)));
  REQUIRE(second.size() == one.bytes.size());
  const auto middle = static_cast<std::ptrdiff_t>(table_at(one.bytes, 3));

  Bytes header_of_second = one.bytes;
  std::copy(second.begin(), second.begin() + kPackHeaderBytes, header_of_second.begin());
  CHECK(read_by_table(one, with_right_digest(header_of_second, 3)) == 3);

  Bytes chunks_of_second = one.bytes;
  std::copy(second.begin() + kPackHeaderBytes, second.begin() + middle, chunks_of_second.begin() + kPackHeaderBytes);
  CHECK(read_by_table(one, with_right_digest(chunks_of_second, 3)) == 3);

  Bytes one_chunk_of_second = one.bytes;
  std::copy_n(second.begin() + kPackHeaderBytes, one.table[0].stored_bytes,
              one_chunk_of_second.begin() + kPackHeaderBytes);
  CHECK(read_by_table(one, with_right_digest(one_chunk_of_second, 3)) == 1);
}

TEST_CASE("no two packs share a key, and no nonce serves twice: the same chunks never have the same bytes") {
  Store store;
  store.keys = keys_of(7);
  const TestChunk chunk = sealed_chunk(store.keys, random_chunk(1, 40));
  std::set<Bytes> salts;
  std::set<Bytes> stored;
  for (int n = 0; n < 100; ++n) {
    const auto writer = must(PackWriter::create(store.dir(), store.keys.get()));
    for (int i = 0; i < 3; ++i) must(writer->append(chunk.id, ChunkType::kData, 40, must(encode(chunk.bytes, 1))));
    const FinishedPack pack = must(writer->finish());
    const Bytes file = read_file(store.file(pack_name(pack.id)));
    salts.insert(Bytes(file.begin() + 16, file.begin() + 48));
    for (const PackEntry& entry : pack.entries) {
      const auto begin = file.begin() + static_cast<std::ptrdiff_t>(entry.offset);
      stored.insert(Bytes(begin, begin + 40));
    }
  }
  CHECK(salts.size() == 100);
  CHECK(stored.size() == 300);
}
