// Writes segments that take the place of others: without the entries of packs that go, and fewer of them.
//
// Invariant: every place of a chunk that is listed in a segment that is replaced, and whose pack does not go, is listed
// in one of the new ones, whether or not the pack can be seen in packs/ at the moment: a listing may be old, and a
// backup that is under way may refer to any of the places. A chunk has one entry in a segment, so what has two places
// is listed in two new segments.
//
// Which are replaced: those that list a pack that goes, and small ones as in an LSM tree, so that the sizes grow by a
// factor and their number with the logarithm of the index up to kMergedSegmentEntries.
//
// Memory: 1.5 bytes an entry of one new segment, and the packs that it lists. One thread.
#pragma once

#include <memory>
#include <vector>

#include "core/collect/live_chunks.h"
#include "core/collect/mark.h"
#include "core/store/repository_dir.h"

namespace vzv {

struct MergeResult {
  std::vector<Id> replaced;  // nothing is left in them that is not in the others
  std::vector<Id> added;     // durable
};

// The new segments are put into `cache` too. Repeatable: a run that was cut short leaves segments that say what others
// say. REQUIRES: refreshed
Result<MergeResult> merge_segments(RepositoryDir& dir, RepositoryDir& cache, const LiveChunks& live,
                                   const std::vector<Id>& going, const CollectControl& control,
                                   CollectCounters& counters);

// Which of segments with these numbers of entries are merged into one: positions in the list, ascending; none or at
// least two.
std::vector<std::size_t> choose_merge(const std::vector<std::uint64_t>& entries);

}  // namespace vzv
