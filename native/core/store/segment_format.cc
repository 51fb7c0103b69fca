#include "core/store/segment_format.h"

#include <algorithm>

#include "core/base/bytes.h"
#include "core/base/limits.h"
#include "core/store/pack_format.h"

namespace vzv {

namespace {

constexpr std::string_view kMagic = "VZVINDX\n";
constexpr std::uint16_t kVersion = 1;
constexpr std::uint64_t kFilterBlockBits = 8 * kFilterBlockBytes;
constexpr unsigned kFilterProbes = 7;
constexpr std::size_t kIdBytes = 32;
constexpr std::size_t kTypeAt = 52;

Status damaged(std::string what) { return {Code::E_SEGMENT_DAMAGED, std::move(what)}; }

// Calls `visit` with the number of each bit of the filter that belongs to `id`, until it answers false. True when all
// were visited.
template <typename Visit>
bool for_filter_bits(const Id& id, std::uint64_t blocks, Visit visit) {
  ByteReader reader(id.bytes);
  const std::uint64_t block = reader.u64() % blocks;
  const std::uint64_t probes = reader.u64();
  for (unsigned i = 0; i < kFilterProbes; ++i) {
    if (!visit(block * kFilterBlockBits + (probes >> (9 * i)) % kFilterBlockBits)) return false;
  }
  return true;
}

// The first 64 bits in the order that entries are sorted by.
std::uint64_t sort_prefix(const Id& id) {
  std::uint64_t prefix = 0;
  for (unsigned i = 0; i < 8; ++i) prefix = prefix << 8 | id.bytes[i];
  return prefix;
}

}  // namespace

std::uint64_t SegmentHeader::filter_blocks() const {
  return (kFilterBitsPerEntry * entries + kFilterBlockBits - 1) / kFilterBlockBits;
}

std::uint64_t SegmentHeader::file_bytes() const {
  return kSegmentHeaderBytes + kIdBytes * std::uint64_t{packs} + kSegmentEntryBytes * entries +
         kFilterBlockBytes * filter_blocks();
}

Bytes encode_segment_header(const SegmentHeader& header) {
  Bytes bytes;
  ByteWriter writer(bytes);
  writer.magic(kMagic);
  writer.u16(kVersion);
  writer.u16(static_cast<std::uint16_t>(header.suite));
  writer.u32(header.packs);
  writer.u64(header.entries);
  writer.u64(header.filter_blocks());
  writer.bytes(header.salt);
  return bytes;
}

Result<SegmentHeader> decode_segment_header(ByteSpan bytes) {
  ByteReader reader(bytes);
  if (!reader.magic(kMagic)) return damaged("it does not begin as an index segment");
  if (reader.u16() != kVersion) return damaged("its version is unknown");
  const std::uint16_t suite = reader.u16();
  if (reader.ok() && !suite_known(suite)) return Status(Code::E_SUITE_UNKNOWN, describe_unknown_suite(suite));
  SegmentHeader header;
  header.suite = static_cast<Suite>(suite);
  header.packs = reader.u32();
  header.entries = reader.u64();
  const std::uint64_t blocks = reader.u64();
  const ByteSpan salt = reader.bytes(header.salt.size());
  if (!reader.ok()) return damaged("its header is cut short");
  std::copy(salt.begin(), salt.end(), header.salt.begin());
  if (header.entries == 0 || header.entries > limits::kSegmentEntriesMax || header.packs == 0 ||
      header.packs > limits::kSegmentPacksMax || blocks != header.filter_blocks()) {
    return damaged("its header announces an impossible size");
  }
  return header;
}

void encode_segment_entry(const SegmentEntry& entry, ByteWriter& writer) {
  writer.id(entry.id);
  writer.u32(entry.pack);
  writer.u32(entry.ordinal);
  writer.u32(entry.offset);
  writer.u32(entry.stored_bytes);
  writer.u32(entry.plain_bytes);
  writer.u8(static_cast<std::uint8_t>(entry.type));
  writer.u8(static_cast<std::uint8_t>(entry.codec));
  writer.zeroes(2);
}

std::optional<SegmentEntry> decode_segment_entry(ByteSpan bytes, std::uint32_t packs) {
  ByteReader reader(bytes);
  SegmentEntry entry;
  entry.id = reader.id();
  entry.pack = reader.u32();
  entry.ordinal = reader.u32();
  entry.offset = reader.u32();
  entry.stored_bytes = reader.u32();
  entry.plain_bytes = reader.u32();
  const std::uint8_t type = reader.u8();
  const std::uint8_t codec = reader.u8();
  if (!chunk_type_known(type) || !codec_known(codec) || !reader.zeroes(2)) return std::nullopt;
  entry.type = static_cast<ChunkType>(type);
  entry.codec = static_cast<Codec>(codec);
  const bool lengths = entry.stored_bytes >= 1 && entry.stored_bytes <= limits::kStoredChunkMaxBytes &&
                       entry.plain_bytes >= 1 && entry.plain_bytes <= plain_max_bytes(entry.type);
  const bool place = entry.pack < packs && entry.ordinal < limits::kPackEntriesMax &&
                     entry.offset >= kPackHeaderBytes &&
                     std::uint64_t{entry.offset} + entry.stored_bytes <= limits::kPackMaxBytes;
  if (!lengths || !place) return std::nullopt;
  return entry;
}

SegmentFilter::SegmentFilter(std::uint64_t entries)
    : bytes_(SegmentHeader{.entries = entries}.filter_blocks() * kFilterBlockBytes) {}

void SegmentFilter::add(const Id& id) {
  for_filter_bits(id, bytes_.size() / kFilterBlockBytes, [&](std::uint64_t bit) {
    bytes_[bit / 8] |= static_cast<std::uint8_t>(1U << bit % 8);
    return true;
  });
}

Bytes encode_segment(Suite suite, const Salt& salt, const std::vector<Id>& packs,
                     const std::vector<SegmentEntry>& entries) {
  const SegmentHeader header{suite, salt, static_cast<std::uint32_t>(packs.size()), entries.size()};
  Bytes bytes = encode_segment_header(header);
  bytes.reserve(header.file_bytes());
  ByteWriter writer(bytes);
  SegmentFilter filter(entries.size());
  for (const Id& pack : packs) writer.id(pack);
  for (const SegmentEntry& entry : entries) {
    encode_segment_entry(entry, writer);
    filter.add(entry.id);
  }
  writer.bytes(filter.bytes());
  return bytes;
}

Result<SegmentView> SegmentView::parse(ByteSpan bytes) {
  Result<SegmentHeader> header = decode_segment_header(bytes);
  if (!header.ok()) return header.status();
  if (header->file_bytes() != bytes.size()) return damaged("its length is not the one that its header announces");
  SegmentView view;
  view.suite_ = header->suite;
  view.salt_ = header->salt;
  view.packs_ = header->packs;
  view.entries_ = header->entries;
  view.blocks_ = header->filter_blocks();
  ByteReader reader(bytes.subspan(kSegmentHeaderBytes));
  view.pack_ids_ = reader.bytes(kIdBytes * header->packs);
  view.entry_bytes_ = reader.bytes(kSegmentEntryBytes * header->entries);
  view.filter_ = reader.bytes(kFilterBlockBytes * view.blocks_);
  return view;
}

Status SegmentView::check_contents() const {
  for (std::uint32_t n = 1; n < packs_; ++n) {
    if (pack(n - 1) >= pack(n)) return damaged("its pack ids are not in order");
  }
  std::optional<ChunkKey> previous;
  for (std::uint64_t n = 0; n < entries_; ++n) {
    const std::optional<SegmentEntry> current = entry(n);
    if (!current) return damaged("entry " + std::to_string(n) + " is not valid");
    if (previous && !(*previous < current->key())) return damaged("its entries are not in order");
    if (!filter_may_hold(current->id)) return damaged("its filter does not know entry " + std::to_string(n));
    previous = current->key();
  }
  return {};
}

Id SegmentView::pack(std::uint32_t position) const {
  return ByteReader(pack_ids_.subspan(kIdBytes * position, kIdBytes)).id();
}

std::optional<SegmentEntry> SegmentView::entry(std::uint64_t n) const {
  return decode_segment_entry(entry_bytes_.subspan(kSegmentEntryBytes * n, kSegmentEntryBytes), packs_);
}

bool SegmentView::filter_may_hold(const Id& id) const {
  return for_filter_bits(id, blocks_, [&](std::uint64_t bit) { return (filter_[bit / 8] >> bit % 8 & 1) != 0; });
}

int SegmentView::compare_key(std::uint64_t n, const Id& id, ChunkType type) const {
  const std::uint8_t* const at = entry_bytes_.data() + kSegmentEntryBytes * n;
  const int order = std::memcmp(at, id.bytes.data(), kIdBytes);
  return order != 0 ? order : int{at[kTypeAt]} - static_cast<int>(type);
}

std::uint64_t SegmentView::lower_bound(const Id& id, ChunkType type) const {
  // Ids are spread evenly, so the entry is near where its first bits point to; from there the bounds are moved out in
  // doubling steps. Right whatever the ids are, fast when they are hashes.
  const auto guess = static_cast<std::uint64_t>(static_cast<unsigned __int128>(sort_prefix(id)) * entries_ >> 64);
  std::uint64_t low = guess;
  std::uint64_t step = 16;
  while (low > 0 && compare_key(low, id, type) >= 0) {
    low -= std::min(low, step);
    step *= 2;
  }
  std::uint64_t high = guess + 1;
  step = 16;
  while (high < entries_ && compare_key(high, id, type) < 0) {
    high += std::min(entries_ - high, step);
    step *= 2;
  }
  while (low < high) {
    const std::uint64_t middle = low + (high - low) / 2;
    if (compare_key(middle, id, type) < 0) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

std::optional<ChunkKey> SegmentView::key(std::uint64_t n) const {
  const ByteSpan bytes = entry_bytes_.subspan(kSegmentEntryBytes * n, kSegmentEntryBytes);
  if (!chunk_type_known(bytes[kTypeAt])) return std::nullopt;
  return ChunkKey{ByteReader(bytes).id(), static_cast<ChunkType>(bytes[kTypeAt])};
}

std::optional<std::uint64_t> SegmentView::position(const Id& id, ChunkType type) const {
  if (!filter_may_hold(id)) return std::nullopt;
  const std::uint64_t n = lower_bound(id, type);
  if (n >= entries_ || compare_key(n, id, type) != 0) return std::nullopt;
  return n;
}

std::optional<SegmentEntry> SegmentView::find(const Id& id, ChunkType type) const {
  const std::optional<std::uint64_t> n = position(id, type);
  return n ? entry(*n) : std::nullopt;
}

}  // namespace vzv
