// Reads every chunk that a volume's map refers to, and collects what is wrong instead of stopping at it.
#pragma once

#include <cstdint>
#include <vector>

#include "core/base/cancel.h"
#include "core/pipeline/counters.h"
#include "core/store/map_reader.h"

namespace vzv {

struct VolumeVerifyResult {
  // Chunks with data that the map names and that were read, damaged ones included.
  std::uint64_t chunks = 0;
  // Everything found, also what is not listed.
  std::uint64_t damage_count = 0;
  // At most kDamagesListedMax, in no order.
  std::vector<Status> damages;
};

// An error only where verification cannot go on: the storage does not answer, or E_CANCELLED. Chunks and map nodes that
// are missing, damaged or cannot be read are damages; behind a map node that cannot be read the rest is still verified.
// REQUIRES: `map` reads through `chunks`.
Result<VolumeVerifyResult> verify_volume(MapReader& map, ChunkReader& chunks, CopyCounters& counters,
                                         const CancelToken& cancel);

}  // namespace vzv
