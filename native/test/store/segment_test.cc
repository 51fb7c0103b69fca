#include <algorithm>
#include <map>

#include "core/base/bytes.h"
#include "core/base/limits.h"
#include "core/store/segment_format.h"
#include "test/store/store_fixture.h"

using namespace vzv;
using namespace vzv::test;

namespace {

std::vector<SegmentEntry> sorted(std::vector<SegmentEntry> entries) {
  std::sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) { return a.key() < b.key(); });
  return entries;
}

SegmentEntry entry_of(const Id& id, std::uint32_t n, ChunkType type = ChunkType::kData) {
  return {id, 0, n, 48 + n, 10, 20, type, Codec::kZstd};
}

const std::vector<Id> kPacks{random_chunk(1).id};

}  // namespace

TEST_CASE("a segment finds all that it lists and nothing else, at any size") {
  for (const std::size_t count : {1U, 2U, 3U, 42U, 43U, 1000U, 20'000U}) {
    CAPTURE(count);
    std::vector<SegmentEntry> entries;
    for (std::uint32_t n = 0; n < count; ++n) entries.push_back(entry_of(random_chunk(n, 16).id, n));
    entries = sorted(entries);
    const Bytes bytes = encode_segment(Suite::kNone, Salt{}, kPacks, entries);
    const SegmentView view = must(SegmentView::parse(bytes));
    must(view.check_contents());
    CHECK(view.entries() == count);
    CHECK(view.pack(0) == kPacks[0]);
    for (const SegmentEntry& entry : entries) REQUIRE(view.find(entry.id, ChunkType::kData) == entry);
    for (std::uint32_t n = 0; n < 1000; ++n) {
      REQUIRE(view.find(random_chunk(1'000'000 + n, 16).id, ChunkType::kData) == std::nullopt);
      REQUIRE(view.find(entries[n % count].id, ChunkType::kMapNode) == std::nullopt);
    }
  }
}

TEST_CASE("ids that are not spread evenly are found all the same") {
  std::vector<SegmentEntry> entries;
  for (std::uint32_t n = 0; n < 3000; ++n) {
    Id id;
    id.bytes[0] = n < 1500 ? 0x00 : 0xff;
    id.bytes[30] = static_cast<std::uint8_t>(n >> 8);
    id.bytes[31] = static_cast<std::uint8_t>(n);
    entries.push_back(entry_of(id, n));
  }
  entries = sorted(entries);
  const Bytes bytes = encode_segment(Suite::kNone, Salt{}, kPacks, entries);
  const SegmentView view = must(SegmentView::parse(bytes));
  for (const SegmentEntry& entry : entries) REQUIRE(view.find(entry.id, ChunkType::kData) == entry);
  Id between;
  between.bytes[0] = 0x80;
  CHECK(view.find(between, ChunkType::kData) == std::nullopt);
}

TEST_CASE("the same id may be listed as data and as map node") {
  const Id id = random_chunk(7).id;
  const Bytes bytes =
      encode_segment(Suite::kNone, Salt{}, kPacks, {entry_of(id, 1), entry_of(id, 2, ChunkType::kMapNode)});
  const SegmentView view = must(SegmentView::parse(bytes));
  must(view.check_contents());
  CHECK(view.find(id, ChunkType::kData)->ordinal == 1);
  CHECK(view.find(id, ChunkType::kMapNode)->ordinal == 2);
}

TEST_CASE("the filter lets few pass that are not listed") {
  std::vector<SegmentEntry> entries;
  for (std::uint32_t n = 0; n < 10'000; ++n) entries.push_back(entry_of(random_chunk(n, 16).id, n));
  Bytes bytes = encode_segment(Suite::kNone, Salt{}, kPacks, sorted(entries));
  // With entries that equal nothing, only the filter could answer; so it is measured by its bits: half of them are set
  // at most.
  const std::size_t filter_bytes = ((12 * 10'000 + 511) / 512) * 64;
  std::size_t set = 0;
  for (std::size_t i = bytes.size() - filter_bytes; i < bytes.size(); ++i)
    set += static_cast<std::size_t>(__builtin_popcount(bytes[i]));
  CHECK(static_cast<double>(set) / static_cast<double>(8 * filter_bytes) < 0.5);
}

TEST_CASE("a segment lies in its file as docs/format.md draws it") {
  Id id;
  for (std::size_t i = 0; i < 32; ++i) id.bytes[i] = static_cast<std::uint8_t>(i + 1);
  Salt salt{};
  salt.fill(7);
  const Bytes bytes =
      encode_segment(Suite::kNone, salt, kPacks, {{id, 0, 5, 1000, 30, 40, ChunkType::kMapNode, Codec::kZstd}});
  REQUIRE(bytes.size() == 64 + 32 + 56 + 64);
  ByteReader reader(bytes);
  CHECK(reader.magic("VZVINDX\n"));
  CHECK(reader.u16() == 1);
  CHECK(reader.u16() == 0);
  CHECK(reader.u32() == 1);
  CHECK(reader.u64() == 1);
  CHECK(reader.u64() == 1);
  CHECK(reader.id().bytes == salt);
  CHECK(reader.id() == kPacks[0]);
  CHECK(reader.id() == id);
  CHECK(reader.u32() == 0);
  CHECK(reader.u32() == 5);
  CHECK(reader.u32() == 1000);
  CHECK(reader.u32() == 30);
  CHECK(reader.u32() == 40);
  CHECK(reader.u8() == 2);
  CHECK(reader.u8() == 1);
  CHECK(reader.u16() == 0);
  const ByteSpan filter = reader.bytes(64);
  const std::uint64_t b = 0x100f0e0d0c0b0a09;
  Bytes expected(64);
  for (unsigned i = 0; i < 7; ++i) {
    const std::uint64_t k = (b >> (9 * i)) % 512;
    expected[k / 8] |= static_cast<std::uint8_t>(1U << (k % 8));
  }
  CHECK(Bytes(filter.begin(), filter.end()) == expected);
}

TEST_CASE("refuses headers whose sizes do not fit the file, without following them") {
  const Bytes bytes = encode_segment(Suite::kNone, Salt{}, kPacks, {entry_of(random_chunk(1).id, 1)});
  const auto code = [&](std::size_t at, std::uint8_t value) {
    Bytes changed = bytes;
    changed[at] = value;
    return SegmentView::parse(changed).status().code();
  };
  CHECK(code(0, 'v') == Code::E_SEGMENT_DAMAGED);
  CHECK(code(8, 2) == Code::E_SEGMENT_DAMAGED);
  CHECK(code(10, 2) == Code::E_SUITE_UNKNOWN);
  CHECK(code(12, 0) == Code::E_SEGMENT_DAMAGED);
  CHECK(code(15, 0xff) == Code::E_SEGMENT_DAMAGED);
  CHECK(code(16, 0) == Code::E_SEGMENT_DAMAGED);
  CHECK(code(23, 0xff) == Code::E_SEGMENT_DAMAGED);
  CHECK(code(24, 2) == Code::E_SEGMENT_DAMAGED);
  CHECK(code(63, 1) == Code::kOk);  // the salt is any
  Bytes longer = bytes;
  longer.push_back(0);
  CHECK(SegmentView::parse(longer).status().code() == Code::E_SEGMENT_DAMAGED);
}

TEST_CASE("contents that are out of order, out of range or unknown to the filter are found") {
  const auto check = [](const std::vector<Id>& packs, const std::vector<SegmentEntry>& entries) {
    const Bytes bytes = encode_segment(Suite::kNone, Salt{}, packs, entries);
    return must(SegmentView::parse(bytes)).check_contents().code();
  };
  const Id low = Id::from_hex(std::string(64, '1')).value(), high = Id::from_hex(std::string(64, '2')).value();
  CHECK(check({low, high}, {entry_of(low, 1), entry_of(high, 2)}) == Code::kOk);
  CHECK(check({high, low}, {entry_of(low, 1)}) == Code::E_SEGMENT_DAMAGED);
  CHECK(check({low, low}, {entry_of(low, 1)}) == Code::E_SEGMENT_DAMAGED);
  CHECK(check({low}, {entry_of(high, 1), entry_of(low, 2)}) == Code::E_SEGMENT_DAMAGED);
  CHECK(check({low}, {entry_of(low, 1), entry_of(low, 2)}) == Code::E_SEGMENT_DAMAGED);
  SegmentEntry entry = entry_of(low, 1);
  entry.pack = 1;
  CHECK(check({low}, {entry}) == Code::E_SEGMENT_DAMAGED);
  entry = entry_of(low, 1);
  entry.offset = 47;
  CHECK(check({low}, {entry}) == Code::E_SEGMENT_DAMAGED);
  entry.offset = 0xffffffff;
  CHECK(check({low}, {entry}) == Code::E_SEGMENT_DAMAGED);
  Bytes bytes = encode_segment(Suite::kNone, Salt{}, {low}, {entry_of(low, 1)});
  std::fill(bytes.end() - 64, bytes.end(), std::uint8_t{0});
  CHECK(must(SegmentView::parse(bytes)).check_contents().code() == Code::E_SEGMENT_DAMAGED);
}
