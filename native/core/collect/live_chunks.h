// Which chunks of a repository are live: one bit for each entry of each index segment, and two more that say which map
// nodes were walked.
//
// Invariant: a live chunk's bit is set in every segment that lists it, and a live chunk that is listed in no pack which
// is there is kept as missing. Both survive a refresh: what a merged segment says of a chunk, the new one says too.
//
// Memory: three bits an entry, a bit a pack of each segment, 32 bytes a pack, and up to kMissingChunksMax keys.
//
// mark() and begin_walk() are thread-safe beside each other and beside the const functions; refresh() and
// forget_walked() run alone.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <unordered_set>
#include <vector>

#include "core/store/index.h"

namespace vzv {

// One of the segments, with what is known of its entries.
class ListedSegment {
 public:
  enum Plane { kLive, kWalkedAboveData, kWalkedAboveCatalogue };

  // `packs` are those that are there, ascending.
  ListedSegment(std::shared_ptr<const SegmentReader> reader, const std::vector<Id>& packs);

  const SegmentReader& reader() const { return *reader_; }
  const SegmentView& view() const { return reader_->view(); }
  // Takes a newer list of packs. True where one that was there is gone.
  bool see_packs(const std::vector<Id>& packs);
  // Whether the pack at this position of the segment's list is there.
  bool pack_there(std::uint32_t position) const { return there_[position]; }

  bool test(Plane plane, std::uint64_t entry) const;
  // True where the bit was not set before. Thread-safe.
  bool set(Plane plane, std::uint64_t entry);
  void clear(Plane plane);

 private:
  using Words = std::vector<std::atomic<std::uint64_t>>;

  const std::shared_ptr<const SegmentReader> reader_;
  std::vector<bool> there_;
  std::array<Words, 3> planes_;
};

class LiveChunks {
 public:
  explicit LiveChunks(std::shared_ptr<Index> index) : index_(std::move(index)) {}

  // Refreshes the index and takes in what changed. E_GC_INCOMPLETE where a segment cannot be read: what it lists is not
  // known then. After an error what was known before holds, or status() is an error.
  Status refresh();
  // An error once something live was forgotten, because more is missing than can be kept in mind: nothing here may be
  // relied on any more. It stays, and every later refresh() and mark() answers it.
  Status status() const;

  // Oldest first.
  const std::vector<std::unique_ptr<ListedSegment>>& segments() const { return segments_; }
  // In packs/ at the last refresh, ascending.
  const std::vector<Id>& packs() const { return packs_; }
  bool pack_there(const Id& pack) const;

  // True where it was not live before. E_GC_INCOMPLETE where more live chunks are missing than are kept in mind.
  Result<bool> mark(const ChunkKey& key);
  // Marks a map node. True where the caller is the first to walk it above pieces of this type. E_GC_INCOMPLETE where
  // the node has no place.
  Result<bool> begin_walk(const Id& node, ChunkType below);
  // All nodes count as not walked.
  void forget_walked();

  bool live(const ChunkKey& key) const;
  // Whether a pack that is there, and not in `going`, is listed with the chunk.
  bool has_place_outside(const ChunkKey& key, const IdSet& going) const;
  // Live chunks that no pack which is there is listed with.
  bool is_missing(const ChunkKey& key) const;
  bool any_missing() const;

  // After work that looked at many entries.
  void release_pages() const;

 private:
  using Keys = std::unordered_set<ChunkKey, ChunkKeyHash>;

  Status add_missing(const ChunkKey& key);
  // Says of the entries of new segments what is known of their chunks from those before.
  Status inherit(const std::vector<ListedSegment*>& fresh, const std::vector<const ListedSegment*>& before) const;
  void inherit_by_lookup(ListedSegment& fresh, const std::vector<const ListedSegment*>& before) const;
  Status find_missing(const ListedSegment& segment, bool is_gone);

  const std::shared_ptr<Index> index_;
  std::vector<std::unique_ptr<ListedSegment>> segments_;
  std::vector<Id> packs_;
  mutable std::mutex missing_mutex_;
  Keys missing_;   // GUARDED BY missing_mutex_
  Status status_;  // GUARDED BY missing_mutex_
};

}  // namespace vzv
