// The bytes of an index segment (docs/format.md, Index segment).
//
// A SegmentView looks at a segment's bytes in place (a mapped file) and owns nothing. parse() checks the structure in
// time that does not grow with the number of entries; check_contents() reads everything. Lookups stay within the bytes
// whatever they hold. Errors are E_SEGMENT_DAMAGED (E_SUITE_UNKNOWN for a foreign suite) without the segment's name.
// Thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "core/base/id.h"
#include "core/base/status.h"
#include "core/store/chunk_type.h"
#include "core/store/codec.h"
#include "core/store/seal.h"

namespace vzv {

inline constexpr std::uint32_t kSegmentHeaderBytes = 64;
inline constexpr std::uint32_t kSegmentEntryBytes = 56;
inline constexpr std::uint32_t kFilterBlockBytes = 64;
inline constexpr std::uint32_t kFilterBitsPerEntry = 12;

struct SegmentEntry {
  Id id;
  std::uint32_t pack;  // position in the list of pack ids
  std::uint32_t ordinal;
  std::uint32_t offset;
  std::uint32_t stored_bytes;
  std::uint32_t plain_bytes;
  ChunkType type;
  Codec codec;

  ChunkKey key() const { return {id, type}; }
  bool operator==(const SegmentEntry&) const = default;
};

// REQUIRES: packs ascending without repetition; at least one entry; entries ascending by key without repetition, with
// pack positions below packs.size().
Bytes encode_segment(Suite suite, const std::vector<Id>& packs, const std::vector<SegmentEntry>& entries);

// The size of the whole file, as the header (its first 64 bytes) has it.
Result<std::uint64_t> segment_file_bytes(ByteSpan header);

class SegmentView {
 public:
  // `bytes` must outlive the view.
  static Result<SegmentView> parse(ByteSpan bytes);

  // Every pack id in order, every entry valid and in order, and found by the filter.
  Status check_contents() const;

  std::uint32_t packs() const { return packs_; }
  std::uint64_t entries() const { return entries_; }
  // REQUIRES: position < packs()
  Id pack(std::uint32_t position) const;
  // nullopt where the fields are not ones that the format allows. REQUIRES: n < entries()
  std::optional<SegmentEntry> entry(std::uint64_t n) const;
  // nullopt where the chunk is not listed.
  std::optional<SegmentEntry> find(const Id& id, ChunkType type) const;

 private:
  bool filter_may_hold(const Id& id) const;
  // The key of entry n, without its other fields.
  int compare_key(std::uint64_t n, const Id& id, ChunkType type) const;
  // Position of the first entry that is not below the key.
  std::uint64_t lower_bound(const Id& id, ChunkType type) const;

  std::uint32_t packs_ = 0;
  std::uint64_t entries_ = 0;
  std::uint64_t blocks_ = 0;
  ByteSpan pack_ids_;
  ByteSpan entry_bytes_;
  ByteSpan filter_;
};

}  // namespace vzv
