// Checks a segment of any length while its bytes go by, in pieces of any size.
//
// Finds what SegmentView::check_contents() finds of one that is mapped, without having it in memory: what is kept is a
// filter made anew of the entries, 1.5 bytes each. One thread.
#pragma once

#include <optional>

#include "core/store/segment_format.h"

namespace vzv {

class SegmentCheck {
 public:
  // Of a file of this length, which bounds what a header of any bytes can make us allocate.
  explicit SegmentCheck(std::uint64_t file_bytes) : file_bytes_(file_bytes) {}

  // The next bytes of the file.
  void add(ByteSpan piece);
  // Behind the last: what is wrong first, as E_SEGMENT_DAMAGED or E_SUITE_UNKNOWN without the segment's name.
  Status finish() const;
  // REQUIRES: finish() is success
  const SegmentHeader& header() const { return header_; }

 private:
  // The length of the record that comes next; 0 behind the last.
  std::uint32_t next_bytes() const;
  Status take(ByteSpan record);
  Status take_header(ByteSpan record);
  Status take_pack(const Id& id);
  Status take_entry(ByteSpan record);
  Status take_filter_block(ByteSpan record);

  const std::uint64_t file_bytes_;
  Status status_;
  Bytes split_;  // the beginning of a record that goes on in the next piece
  bool has_header_ = false;
  SegmentHeader header_;
  // How many of each went by.
  std::uint64_t packs_ = 0;
  std::uint64_t entries_ = 0;
  std::uint64_t blocks_ = 0;
  std::optional<Id> previous_pack_;
  std::optional<ChunkKey> previous_key_;
  std::optional<SegmentFilter> filter_;  // of the entries; none where it would be too large
};

}  // namespace vzv
