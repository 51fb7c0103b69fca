// Dirty regions from the bitmap that an NBD export of QEMU offers: the metadata context qemu:dirty-bitmap:NAME
// (qemu docs/interop/nbd.txt; bit 0 of an extent's flags says that it is dirty).
//
// Over a connection of its own that negotiates nothing but that context. Strict: a list of changes that is not whole
// would make a backup that is corrupt without anybody noticing, so whatever is odd is an error.
#pragma once

#include <memory>
#include <string>

#include "core/source/dirty_regions.h"
#include "core/source/open_source.h"

namespace vzv {

// E_SOURCE_BITMAP where the export has no such bitmap, or not `size_bytes`, or cannot be reached; E_SOURCE_STALLED,
// E_CANCELLED. Regions do not touch each other. The token must outlive what is answered.
Result<std::unique_ptr<DirtyRegions>> open_nbd_dirty_regions(const NbdSocketAddress& address,
                                                             const std::string& bitmap_name, std::uint64_t size_bytes,
                                                             int stall_timeout_ms, const CancelToken& cancel);

}  // namespace vzv
