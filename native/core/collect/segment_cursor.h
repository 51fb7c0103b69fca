// Goes through several segments at once in the order of their keys: for each chunk all of its entries together.
//
// Memory: a key and a number a segment. The pages that were passed over leave the resident set. One thread.
#pragma once

#include <cstdint>
#include <queue>
#include <vector>

#include "core/base/cancel.h"
#include "core/collect/live_chunks.h"

namespace vzv {

// An entry, and where it stands: `segment` is a position in the list that the cursor was made of.
struct ListedEntry {
  std::size_t segment;
  std::uint64_t number;
  SegmentEntry entry;
};

class SegmentCursor {
 public:
  // REQUIRES: the segments outlive this.
  SegmentCursor(std::vector<const ListedSegment*> segments, const CancelToken& cancel);

  // Replaces `entries` by those of the next chunk, at least one; false behind the last. E_SEGMENT_DAMAGED where a local
  // copy was changed since it was opened, E_CANCELLED.
  Result<bool> next(std::vector<ListedEntry>& entries);

 private:
  struct Head {
    ChunkKey key;
    std::size_t segment;
    std::uint64_t number;
    // The least key is on top of a priority queue.
    bool operator<(const Head& other) const { return key != other.key ? other.key < key : other.segment < segment; }
  };

  Status add(std::size_t segment, std::uint64_t number);
  Status damaged(std::size_t segment) const;

  const std::vector<const ListedSegment*> segments_;
  const CancelToken& cancel_;
  std::priority_queue<Head> heads_;
  std::uint64_t passed_ = 0;
  Status started_;
};

}  // namespace vzv
