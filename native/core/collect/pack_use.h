// What the packs of a repository are still good for.
//
// One pass over all segments, in the order of the keys. One thread.
#pragma once

#include <cstdint>
#include <vector>

#include "core/collect/live_chunks.h"
#include "core/collect/mark.h"
#include "core/store/repository_dir.h"

namespace vzv {

struct PackUse {
  Id id;
  std::uint64_t file_bytes = 0;
  std::uint64_t chunks = 0;       // that the index lists in it; 0 where it does not list the pack
  std::uint64_t live_chunks = 0;  // one that is in several packs counts in the first of them by id only
  std::uint64_t live_stored_bytes = 0;
};

// Those that were there at the last refresh and still are, ascending.
Result<std::vector<PackUse>> use_of_packs(RepositoryDir& dir, const LiveChunks& live, const CollectControl& control);

// Which of `going` must stay, so that each live chunk has a place in a pack that stays: what is listed in packs of
// `going` only stays in one of them. While live chunks are missing, the packs' own tables are read too, since a segment
// that was lost may have listed more: a pack with such a chunk in its table stays, as does one whose table cannot be
// read, and one that was not there at the last refresh. Ascending. REQUIRES: refreshed
Result<std::vector<Id>> still_needed(RepositoryDir& dir, const LiveChunks& live, const std::vector<Id>& going,
                                     const CollectControl& control);

// Whether the pack's table lists a chunk that is live and has no place in the index. False where the pack is gone.
// E_PACK_DAMAGED, E_SUITE_UNKNOWN, or an error of the storage.
Result<bool> has_missing_chunk(RepositoryDir& dir, const LiveChunks& live, const Id& pack,
                               const CollectControl& control);

}  // namespace vzv
