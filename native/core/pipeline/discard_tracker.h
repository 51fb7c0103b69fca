// Which parts of a source may be discarded: those whose chunks are all durable or zero, in whole granules.
//
// Nothing is answered before every byte of it was added and its durability reached. Neighbours are answered together,
// as far as they are durable when they are asked for. Memory: one entry for each range that differs from its neighbour
// in durability, or is less than a granule; at most kDiscardsWaitingMax. Beyond that the oldest are forgotten, which
// loses space and nothing else.
//
// Thread-safe.
#pragma once

#include <list>
#include <mutex>
#include <optional>

#include "core/base/range.h"
#include "core/store/chunk_writer.h"

namespace vzv {

class DiscardTracker {
 public:
  explicit DiscardTracker(std::uint64_t size_bytes) : size_bytes_(size_bytes) {}

  // A range of the source that was stored, or is zero. REQUIRES: ranges come in ascending order and do not overlap.
  void add(Range range, Durability durability);

  // A piece that may be discarded, at most kDiscardMaxBytes: it begins at a granule, and ends at one or at the end of
  // the volume. None while there is none.
  std::optional<Range> next();

 private:
  struct Waiting {
    Range range;
    Durability durability;
  };
  using Entry = std::list<Waiting>::iterator;

  // Takes those that follow `entry` and are durable as it is into it.
  void join_followers(Entry entry);
  // Cuts a piece out of a durable entry; what is left of it before and behind stays, for its neighbours to join.
  std::optional<Range> cut(Entry entry);

  const std::uint64_t size_bytes_;
  std::mutex mutex_;
  std::list<Waiting> waiting_;  // GUARDED BY mutex_; ascending
};

}  // namespace vzv
