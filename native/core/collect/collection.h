// One garbage collection, as far as it is native: finds out what is live, says what packs are good for, moves what is
// live out of packs that shall go, and keeps the index in order. It deletes nothing: which packs and segments go, and
// when, others decide (docs/format.md, Collection).
//
// Thread-safe; one call runs at a time, others wait.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "core/collect/compaction.h"
#include "core/collect/live_chunks.h"
#include "core/collect/mark.h"
#include "core/collect/node_cache.h"
#include "core/collect/pack_use.h"
#include "core/collect/segment_merge.h"

namespace vzv {

class Collection {
 public:
  // Reads the cache of map nodes; refreshes nothing yet.
  static Result<std::unique_ptr<Collection>> create(std::shared_ptr<RepositoryDir> dir, std::shared_ptr<Index> index,
                                                    CompactionOptions options);

  // Refreshes, then marks; may be called again with more roots, of which those that were walked cost nothing. Errors as
  // of mark_roots(), and E_GC_INCOMPLETE where a segment cannot be read.
  Status mark(const std::vector<MapRoot>& roots, const CollectControl& control, CollectCounters& counters);
  // As of the last mark().
  Result<std::vector<PackUse>> packs(const CollectControl& control);
  Result<CompactionResult> compact(const std::vector<Id>& packs, const CollectControl& control,
                                   CollectCounters& counters);
  // Refreshes first, as does merge_segments().
  Result<std::vector<Id>> still_needed(const std::vector<Id>& packs, const CollectControl& control);
  Result<MergeResult> merge_segments(const std::vector<Id>& going, const CollectControl& control,
                                     CollectCounters& counters);
  // Keeps the map nodes for the next collection. Nothing can be called afterwards but this.
  void close();

 private:
  Collection(std::shared_ptr<RepositoryDir> dir, std::shared_ptr<Index> index, CompactionOptions options);

  const std::shared_ptr<RepositoryDir> dir_;
  const std::shared_ptr<Index> index_;
  const CompactionOptions options_;
  std::mutex mutex_;
  LiveChunks live_;          // GUARDED BY mutex_
  ChunkReader reader_;       // keeps nothing: each node is read once
  NodeCache nodes_;          // GUARDED BY mutex_
  bool walked_all_ = false;  // GUARDED BY mutex_; the last mark() came to its end
  bool closed_ = false;      // GUARDED BY mutex_
};

}  // namespace vzv
