// What verify finds in segments of any length.
#include <algorithm>
#include <filesystem>

#include "core/store/segment_check.h"
#include "core/store/store_verify.h"
#include "test/store/store_fixture.h"

using namespace vzv;
using namespace vzv::test;

namespace {

VerifyReport verify(const Store& store, RepositoryKeysPtr keys = nullptr) {
  const CancelToken cancel;
  return must(verify_packs(*store.dir(), {.packs = std::vector<Id>(), .keys = keys}, nullptr, cancel));
}

// Lists so many chunks in a pack that is there and one that is not.
Bytes long_segment(const Id& there, const Id& gone, std::uint64_t count) {
  std::vector<SegmentEntry> entries(count);
  for (std::uint64_t n = 0; n < count; ++n) {
    SegmentEntry& entry = entries[n];
    for (unsigned at = 0; at < 8; ++at) entry.id.bytes[at] = static_cast<std::uint8_t>(n << 32 >> (56 - 8 * at));
    entry.id.bytes[8 + n % 8] = static_cast<std::uint8_t>(n);
    entry.pack = static_cast<std::uint32_t>(n % 2);
    entry.offset = 48;
    entry.stored_bytes = entry.plain_bytes = 1;
    entry.type = ChunkType::kData;
    entry.codec = Codec::kStored;
  }
  return encode_segment(Suite::kNone, {}, {std::min(there, gone), std::max(there, gone)}, entries);
}

// Under the name that its bytes have.
std::string put(const Store& store, const Bytes& bytes) {
  const std::string path = store.file(segment_name(sha256(bytes)));
  write_file(path, bytes);
  return path;
}

Status check(const Bytes& bytes, std::size_t piece_bytes) {
  SegmentCheck check(bytes.size());
  for (std::size_t at = 0; at < bytes.size(); at += piece_bytes)
    check.add(ByteSpan(bytes).subspan(at, std::min(piece_bytes, bytes.size() - at)));
  return check.finish();
}

}  // namespace

TEST_CASE("a segment as long as a merge writes is checked as wholly as a short one") {
  Store store;
  store.put_all({random_chunk(1)});
  const Id gone = random_chunk(2).id;
  const std::uint64_t count = 1'250'000;
  std::string path;
  {
    const Bytes bytes = long_segment(store.packs()[0], gone, count);
    REQUIRE(bytes.size() > 64 * 1024 * 1024);
    path = put(store, bytes);
  }
  VerifyReport report = verify(store);
  CHECK(report.segments == 2);
  REQUIRE(report.damages.size() == 1);
  CHECK(report.damages[0].code() == Code::E_PACK_MISSING);
  CHECK(report.damages[0].message().find(pack_name(gone)) != std::string::npos);

  // A flipped byte, far in its entries.
  Bytes bytes = read_file(path);
  const std::size_t far = kSegmentHeaderBytes + 2 * 32 + kSegmentEntryBytes * (count - 10);
  bytes[far] ^= 1;
  write_file(path, bytes);
  report = verify(store);
  REQUIRE(report.damages.size() == 1);
  CHECK(report.damages[0].code() == Code::E_SEGMENT_DAMAGED);
  CHECK(report.damages[0].message().find("do not match its name") != std::string::npos);

  // The same in one that was written so.
  std::filesystem::remove(path);
  put(store, bytes);
  report = verify(store);
  REQUIRE(report.damages.size() == 1);
  CHECK(report.damages[0].code() == Code::E_SEGMENT_DAMAGED);
  CHECK(report.damages[0].message().find("not in order") != std::string::npos);
}

TEST_CASE("more packs than are read at once are all looked for") {
  Store store;
  store.put_all({random_chunk(1)});
  std::vector<Id> packs;
  for (std::uint64_t n = 0; n < 40'000; ++n) packs.push_back(sha256(Bytes{std::uint8_t(n), std::uint8_t(n >> 8)}));
  packs.push_back(store.packs()[0]);
  std::sort(packs.begin(), packs.end());
  const SegmentEntry entry{random_chunk(1).id, 0, 0, 48, 1, 1, ChunkType::kData, Codec::kStored};
  put(store, encode_segment(Suite::kNone, {}, packs, {entry}));
  const VerifyReport report = verify(store);
  CHECK(report.damages.size() + report.damages_unlisted == 40'000);
  for (const Status& damage : report.damages) CHECK(damage.code() == Code::E_PACK_MISSING);
}

TEST_CASE("packs of another suite than the repository's are named") {
  Store store;
  store.put_all({random_chunk(1)});
  const VerifyReport report = verify(store, keys_of(1));
  REQUIRE(report.damages.size() == 1);
  CHECK(report.damages[0].code() == Code::E_SUITE_MISMATCH);
}

TEST_CASE("a segment that goes by in pieces is judged as one that is seen as a whole") {
  Store store;
  std::vector<TestChunk> chunks;
  for (std::uint64_t n = 0; n < 20; ++n) chunks.push_back(random_chunk(n, 20));
  store.put_all(chunks);
  const Bytes whole = read_file(store.file(segment_name(store.segments()[0])));
  for (const std::size_t piece : {1, 7, 56, 64, 100, 10'000}) CHECK(check(whole, piece).ok());
  Bytes longer = whole;
  longer.push_back(0);
  CHECK(check(longer, 64).code() == Code::E_SEGMENT_DAMAGED);
  CHECK(check({}, 64).code() == Code::E_SEGMENT_DAMAGED);
  for_each_damage(whole, [&](const Bytes& bytes, std::size_t, bool) {
    const Result<SegmentView> view = SegmentView::parse(bytes);
    const Status seen = view.ok() ? view->check_contents() : view.status();
    const Status streamed = check(bytes, 100);
    REQUIRE(streamed.code() == seen.code());
    const bool is_of_filter = seen.message().starts_with("its filter");
    if (!is_of_filter && bytes.size() >= kSegmentHeaderBytes) CHECK(streamed.message() == seen.message());
  });
}
