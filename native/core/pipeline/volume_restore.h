// Writes a volume of a snapshot to a file or a block device: chunks by several threads, each proven by its id; holes
// are neither read from the repository nor, in a regular file, written.
//
// Memory: a few chunks, and the reader's cache.
#pragma once

#include <string>

#include "core/base/cancel.h"
#include "core/pipeline/counters.h"
#include "core/store/map_reader.h"

namespace vzv {

struct RestoreTargetPath {
  std::string path;
  bool overwrite = false;
};

// Returns when all is durable, or with the first error of map, chunks, target (E_TARGET_EXISTS, E_TARGET_WRITE) or
// token. After an error a file that was there before is incomplete, one that was not is not there. REQUIRES: `map`
// reads through `chunks`.
Status restore_volume(MapReader& map, ChunkReader& chunks, const RestoreTargetPath& target, CopyCounters& counters,
                      const CancelToken& cancel);

}  // namespace vzv
