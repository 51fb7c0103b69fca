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

#include "core/base/bytes.h"
#include "core/base/id.h"
#include "core/base/status.h"
#include "core/store/chunk_type.h"
#include "core/store/codec.h"
#include "core/store/suite.h"

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

// What a segment is made of, in this order: header, pack ids, entries, filter. For segments that are too large to be
// made in memory; encode_segment() does it all at once.
//
// The salt makes every segment's name its own: one that is made again of the same entries must not take the name of one
// that somebody is about to delete.
struct SegmentHeader {
  Suite suite = Suite::kNone;
  Salt salt{};
  std::uint32_t packs = 0;
  std::uint64_t entries = 0;

  // What follows from them.
  std::uint64_t filter_blocks() const;
  std::uint64_t file_bytes() const;
};
Bytes encode_segment_header(const SegmentHeader& header);
// Of the first 64 bytes of `bytes`; more are passed over.
Result<SegmentHeader> decode_segment_header(ByteSpan bytes);
void encode_segment_entry(const SegmentEntry& entry, ByteWriter& writer);
// nullopt where the fields are not ones that the format allows in a segment of so many packs. REQUIRES: bytes.size() is
// kSegmentEntryBytes
std::optional<SegmentEntry> decode_segment_entry(ByteSpan bytes, std::uint32_t packs);
class SegmentFilter {
 public:
  // For so many entries, at least 1; 1.5 bytes each.
  explicit SegmentFilter(std::uint64_t entries);
  void add(const Id& id);
  const Bytes& bytes() const { return bytes_; }

 private:
  Bytes bytes_;
};

// REQUIRES: packs ascending without repetition; at least one entry; entries ascending by key without repetition, with
// pack positions below packs.size().
Bytes encode_segment(Suite suite, const Salt& salt, const std::vector<Id>& packs,
                     const std::vector<SegmentEntry>& entries);

class SegmentView {
 public:
  // `bytes` must outlive the view.
  static Result<SegmentView> parse(ByteSpan bytes);

  // Every pack id in order, every entry valid and in order, and found by the filter.
  Status check_contents() const;

  // Of the packs that it lists.
  Suite suite() const { return suite_; }
  const Salt& salt() const { return salt_; }
  std::uint32_t packs() const { return packs_; }
  std::uint64_t entries() const { return entries_; }
  // REQUIRES: position < packs()
  Id pack(std::uint32_t position) const;
  // nullopt where the fields are not ones that the format allows. REQUIRES: n < entries()
  std::optional<SegmentEntry> entry(std::uint64_t n) const;
  // The key of an entry, whatever its other fields are. nullopt where the type is not one. REQUIRES: n < entries()
  std::optional<ChunkKey> key(std::uint64_t n) const;
  // The number of a chunk's entry. nullopt where it is not listed.
  std::optional<std::uint64_t> position(const Id& id, ChunkType type) const;
  // nullopt where the chunk is not listed.
  std::optional<SegmentEntry> find(const Id& id, ChunkType type) const;

 private:
  bool filter_may_hold(const Id& id) const;
  // The key of entry n, without its other fields.
  int compare_key(std::uint64_t n, const Id& id, ChunkType type) const;
  // Position of the first entry that is not below the key.
  std::uint64_t lower_bound(const Id& id, ChunkType type) const;

  Suite suite_ = Suite::kNone;
  Salt salt_{};
  std::uint32_t packs_ = 0;
  std::uint64_t entries_ = 0;
  std::uint64_t blocks_ = 0;
  ByteSpan pack_ids_;
  ByteSpan entry_bytes_;
  ByteSpan filter_;
};

}  // namespace vzv
