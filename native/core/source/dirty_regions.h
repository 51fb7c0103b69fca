// What changed on a disk since a backup that a new one builds on: regions that come one after the other, never all at
// once, so that memory stays bounded whatever the disk's size.
//
// What is told here is what the other side said. Whether it makes sense for a volume (order, bounds, borders of chunks)
// is checked by the one who uses it (core/pipeline/read_planner.h), for every origin alike.
//
// Used by one thread at a time. After an error it can only be destroyed.
#pragma once

#include <optional>

#include "core/base/range.h"
#include "core/base/status.h"

namespace vzv {

class DirtyRegions {
 public:
  virtual ~DirtyRegions() = default;

  // The next region, none at the end. E_SOURCE_BITMAP where it cannot be told, E_SOURCE_STALLED where no answer came
  // for the stall timeout, E_CANCELLED.
  virtual Result<std::optional<Range>> next() = 0;
};

}  // namespace vzv
