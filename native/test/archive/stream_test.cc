// The map of a stream: any offset is found, an insertion rewrites few nodes, a damaged node is told.
#include <doctest/doctest.h>

#include <set>

#include "core/archive/stream_map.h"
#include "core/base/bytes.h"
#include "test/store/store_fixture.h"

using namespace vzv;
using namespace vzv::test;

namespace {

Id id_of(std::uint64_t n) { return sha256(as_bytes(std::to_string(n))); }

struct Part {
  Id id;
  std::uint32_t length;
};

std::vector<Part> some_pieces(std::uint64_t count, std::uint64_t from = 0) {
  std::vector<Part> pieces;
  for (std::uint64_t n = from; n < from + count; ++n) {
    pieces.push_back({id_of(n), static_cast<std::uint32_t>(1 + n * 7919 % 2'000'000)});
  }
  return pieces;
}

StreamMap write(ChunkWriter& writer, const std::vector<Part>& pieces) {
  StreamWriter stream(writer);
  for (const Part& piece : pieces) must(stream.append(piece.id, piece.length));
  return must(stream.finish());
}

void check_pieces(StreamReader& reader, const std::vector<Part>& pieces) {
  std::uint64_t offset = 0;
  for (const Part& piece : pieces) {
    for (const std::uint64_t at : {offset, offset + piece.length / 2, offset + piece.length - 1}) {
      const StreamPiece found = must(reader.piece(at));
      CHECK(found.id == piece.id);
      CHECK(found.offset == offset);
      CHECK(found.length == piece.length);
    }
    offset += piece.length;
  }
  CHECK(reader.size_bytes() == offset);
  CHECK(reader.piece(offset).status().code() == Code::E_ARGUMENT_INVALID);
}

}  // namespace

TEST_CASE("every offset of a stream is found in its piece") {
  Store store;
  for (const std::uint64_t count : {0ULL, 1ULL, 2ULL, 31ULL, 32ULL, 33ULL, 255ULL, 256ULL, 257ULL, 5'000ULL}) {
    CAPTURE(count);
    const auto pieces = some_pieces(count);
    auto writer = store.writer();
    const StreamMap map = write(*writer, pieces);
    must(writer->flush());
    must(check_stream_map(map));
    if (count == 0) CHECK(map == StreamMap{});
    if (count == 1) CHECK(map.levels == 1);
    if (count == 5'000) CHECK(map.levels == 2);
    auto chunks = store.reader(16 << 20);
    StreamReader reader(map, ChunkType::kData, *chunks);
    check_pieces(reader, pieces);
  }
}

TEST_CASE("pieces that never end a node fill nodes of 256, and zeroes end them at 32") {
  Store store;
  std::vector<Part> pieces;
  for (std::uint64_t n = 0; pieces.size() < 70'000; ++n) {
    if ((id_of(n).bytes[0] & 0x7f) != 0) pieces.push_back({id_of(n), 100});
  }
  auto writer = store.writer();
  const StreamMap map = write(*writer, pieces);
  must(writer->flush());
  auto chunks = store.reader(64 << 20);
  CHECK(must(chunks->read(map.root, ChunkType::kMapNode))->size() < limits::kMapNodeMaxBytes);
  StreamReader reader(map, ChunkType::kData, *chunks);
  CHECK(must(reader.piece(123 * 100 + 99)).id == pieces[123].id);

  auto second = store.writer();
  const std::vector<Part> zeroes(10'000, Part{Id{}, 2 << 20});
  const StreamMap zero_map = write(*second, zeroes);
  must(second->flush());
  auto more = store.reader(16 << 20);
  StreamReader zero_reader(zero_map, ChunkType::kData, *more);
  Bytes bytes(1'000'000, 1);
  must(zero_reader.read((2 << 20) * 4'999ULL - 500'000, bytes));
  CHECK(bytes == Bytes(bytes.size(), 0));
}

TEST_CASE("a piece more or less in a long stream stores some nodes, not the map again") {
  Store store;
  auto pieces = some_pieces(100'000);
  auto first = store.writer();
  write(*first, pieces);
  must(first->flush());
  pieces.insert(pieces.begin() + 500, Part{id_of(1'000'000), 77});
  pieces.erase(pieces.begin() + 90'000);
  auto second = store.writer();
  const StreamMap map = write(*second, pieces);
  CHECK(map.levels == 3);
  must(second->flush());
  CHECK(second->added_bytes() < 100'000);
  CHECK(second->added_bytes() * 30 < first->added_bytes());
  auto chunks = store.reader(64 << 20);
  StreamReader reader(map, ChunkType::kData, *chunks);
  CHECK(must(reader.piece(map.size_bytes - 1)).id == pieces.back().id);
}

TEST_CASE("reads cross pieces and holes") {
  Store store;
  const TestChunk a = random_chunk(1, 5'000);
  const TestChunk b = random_chunk(2, 7'000);
  store.put_all({a, b});
  auto writer = store.writer();
  const StreamMap map = write(*writer, {{a.id, 5'000}, {Id{}, 1'000}, {b.id, 7'000}});
  must(writer->flush());
  Bytes whole = a.bytes;
  whole.resize(6'000, 0);
  whole.insert(whole.end(), b.bytes.begin(), b.bytes.end());
  auto chunks = store.reader();
  StreamReader reader(map, ChunkType::kData, *chunks);
  for (std::size_t from = 0; from < whole.size(); from += 997) {
    for (const std::size_t length : {std::size_t{0}, std::size_t{1}, std::size_t{2'000}, whole.size() - from}) {
      if (from + length > whole.size()) continue;
      Bytes bytes(length, 0x55);
      must(reader.read(from, bytes));
      CHECK(std::equal(bytes.begin(), bytes.end(), whole.begin() + static_cast<std::ptrdiff_t>(from)));
    }
  }
}

TEST_CASE("a node is taken only for what it says of itself") {
  const std::vector<StreamChild> children = {{id_of(1), 10}, {id_of(2), 20}};
  const Bytes node = encode_stream_node(0, children);
  CHECK(node.size() == 16 + 2 * 40);
  CHECK(must(decode_stream_node(node, 0, 30, ChunkType::kData)) == children);
  CHECK_FALSE(decode_stream_node(node, 1, 30, ChunkType::kData).ok());
  CHECK_FALSE(decode_stream_node(node, 0, 29, ChunkType::kData).ok());
  CHECK_FALSE(decode_stream_node(node, 0, 31, ChunkType::kData).ok());
  const auto refused = [](std::vector<StreamChild> bad, std::uint64_t length, unsigned level, ChunkType type) {
    return decode_stream_node(encode_stream_node(level, bad), level, length, type).status().code() ==
           Code::E_MAP_DAMAGED;
  };
  CHECK(refused({{id_of(1), 0}, {id_of(2), 30}}, 30, 0, ChunkType::kData));
  CHECK(refused({{id_of(1), UINT64_MAX}, {id_of(2), 31}}, 30, 0, ChunkType::kData));
  CHECK(refused({{id_of(1), limits::kDataChunkMaxBytes + 1}}, limits::kDataChunkMaxBytes + 1, 0, ChunkType::kData));
  CHECK(refused({{Id{}, 30}}, 30, 1, ChunkType::kData));
  CHECK(refused({{Id{}, 30}}, 30, 0, ChunkType::kCatalogue));
  for_each_damage(node, [&](const Bytes& damaged, std::size_t at, bool) {
    const auto decoded = decode_stream_node(damaged, 0, 30, ChunkType::kData);
    const bool in_an_id = (at >= 16 && at < 48) || (at >= 56 && at < 88);
    CHECK(decoded.ok() == (in_an_id && damaged.size() == node.size()));
  });
}

TEST_CASE("a map that was made of another stream is damage, and what follows it can be found") {
  Store store;
  const auto pieces = some_pieces(2'000);
  auto writer = store.writer();
  StreamMap map = write(*writer, pieces);
  must(writer->flush());
  auto chunks = store.reader(16 << 20);
  StreamReader right(map, ChunkType::kData, *chunks);
  map.size_bytes -= 1;
  StreamReader wrong(map, ChunkType::kData, *chunks);
  const Status status = wrong.piece(0).status();
  CHECK(status.code() == Code::E_MAP_DAMAGED);
  CHECK(status.message().find("map node ") == 0);
  CHECK(wrong.end_of_unreadable(5) == map.size_bytes);
  CHECK(right.end_of_unreadable(5) == 5);
  CHECK_FALSE(check_stream_map({10, 0, id_of(1)}).ok());
  CHECK_FALSE(check_stream_map({10, 9, id_of(1)}).ok());
  CHECK_FALSE(check_stream_map({10, 1, Id{}}).ok());
  CHECK_FALSE(check_stream_map({0, 1, id_of(1)}).ok());
  CHECK_FALSE(check_stream_map({1ULL << 53, 1, id_of(1)}).ok());
}
