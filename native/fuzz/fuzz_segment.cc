// Index segments: parsing, the full check, and lookups in whatever passed for a segment.
#include <algorithm>

#include "core/base/sha256.h"
#include "core/store/segment_format.h"
#include "fuzz/fuzz_driver.h"

using namespace vzv;

namespace {

Id id_of(std::uint32_t n) {
  std::uint8_t bytes[4];
  std::memcpy(bytes, &n, 4);
  return sha256(bytes);
}

Bytes segment_of(std::uint32_t count) {
  std::vector<Id> packs{id_of(1'000'000), id_of(1'000'001)};
  std::sort(packs.begin(), packs.end());
  std::vector<SegmentEntry> entries;
  for (std::uint32_t n = 0; n < count; ++n) {
    entries.push_back(
        {id_of(n), n % 2, n, 48 + 10 * n, 10, 20, n % 5 == 0 ? ChunkType::kMapNode : ChunkType::kData, Codec::kZstd});
  }
  std::sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) { return a.key() < b.key(); });
  return encode_segment(Suite::kNone, Salt{}, packs, entries);
}

}  // namespace

std::vector<Bytes> fuzz::samples() { return {segment_of(1), segment_of(2), segment_of(60)}; }

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteSpan bytes(data, size);
  const Result<SegmentView> parsed = SegmentView::parse(bytes);
  if (!parsed.ok()) {
    const Code code = parsed.status().code();
    FUZZ_CHECK(code == Code::E_SEGMENT_DAMAGED || code == Code::E_SUITE_UNKNOWN);
    return 0;
  }
  const SegmentView& view = parsed.value();
  // Lookups stay in bounds whatever the contents are.
  for (std::uint32_t n = 0; n < 8; ++n) {
    const auto found = view.find(id_of(n), ChunkType::kData);
    FUZZ_CHECK(!found || found->pack < view.packs());
  }
  if (!view.check_contents().ok()) return 0;
  std::vector<Id> packs;
  for (std::uint32_t n = 0; n < view.packs(); ++n) packs.push_back(view.pack(n));
  std::vector<SegmentEntry> entries;
  for (std::uint64_t n = 0; n < view.entries(); ++n) {
    const auto entry = view.entry(n);
    FUZZ_CHECK(entry.has_value());
    FUZZ_CHECK(view.find(entry->id, entry->type) == entry);
    entries.push_back(*entry);
  }
  // What was accepted is what would be written, but for bits that a filter may have beyond those that it needs.
  const Bytes again = encode_segment(view.suite(), view.salt(), packs, entries);
  const std::size_t filter_at = kSegmentHeaderBytes + 32 * packs.size() + kSegmentEntryBytes * entries.size();
  FUZZ_CHECK(again.size() == size);
  FUZZ_CHECK(std::equal(again.begin(), again.begin() + static_cast<std::ptrdiff_t>(filter_at), bytes.begin()));
  for (std::size_t i = filter_at; i < size; ++i) FUZZ_CHECK((again[i] & ~bytes[i]) == 0);
  return 0;
}
