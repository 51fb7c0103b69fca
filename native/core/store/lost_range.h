// Tells a part of a pack that its disk cannot read any more from a storage that is away as a whole: both are EIO to who
// reads (a soft NFS mount answers it while its server is away), but only the first leaves the rest of the file
// readable.
#pragma once

#include <cstdint>

#include "core/base/id.h"
#include "core/store/repository_dir.h"

namespace vzv {

enum class RangeState {
  kReadable,  // by now
  kLost,      // EIO, while the storage delivers other bytes of the pack
  kUnknown,   // another error, or the storage delivers nothing of the pack
};

// Asks the storage itself, as far as the kernel lets: a page that is still in memory proves nothing about it. Reads the
// range once, and a few bytes elsewhere. REQUIRES: length > 0
RangeState state_of_range(RepositoryDir& dir, const Id& pack, std::uint64_t offset, std::uint64_t length);

// The same for the parts of a pack without which its chunks cannot be found: its header; its table and trailer.
RangeState state_of_header(RepositoryDir& dir, const Id& pack);
RangeState state_of_table(RepositoryDir& dir, const Id& pack);

}  // namespace vzv
