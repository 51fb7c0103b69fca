// Backs up one volume: reads what holds data, stores the chunks that are new, writes the map.
//
// The calling thread drives the source and returns when all threads have ended: with the map's root, or with the first
// error of source, store or token. A store that hangs in the kernel keeps it from returning, a source does not.
// Nothing is durable before the ChunkWriter's flush().
//
// Memory: kBackupBuffersBytes and the window, whatever the volume's size. Several volumes may go through one
// ChunkWriter at once.
#pragma once

#include <cstdint>

#include "core/base/cancel.h"
#include "core/chunk/volume_geometry.h"
#include "core/pipeline/counters.h"
#include "core/source/block_source.h"
#include "core/store/chunk_writer.h"

namespace vzv {

struct VolumeBackupOptions {
  std::uint32_t chunk_size_bytes = 0;
  // Counted on what is read from the source. 0: none.
  std::uint64_t bandwidth_limit_bytes_per_second = 0;
  // No read finished for this long while some are in flight: E_SOURCE_STALLED. REQUIRES: > 0
  int stall_timeout_ms = 60'000;
};

struct VolumeBackupResult {
  VolumeGeometry geometry;
  Id root;
};

// E_ARGUMENT_INVALID, E_SOURCE_READ, E_SOURCE_STALLED, E_CANCELLED, errors of the storage. After an error the source
// can only be destroyed. REQUIRES: the source was opened with the same token.
Result<VolumeBackupResult> backup_volume(BlockSource& source, ChunkWriter& writer, const VolumeBackupOptions& options,
                                         BackupCounters& counters, const CancelToken& cancel);

}  // namespace vzv
