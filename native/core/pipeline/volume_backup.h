// Backs up one volume: reads what holds data, stores the chunks that are new, writes the map.
//
// The calling thread drives the source and returns when all threads have ended: with the map's root, or with the first
// error of source, store or token. A store that hangs in the kernel keeps it from returning, a source does not.
// Nothing is durable before the ChunkWriter's flush().
//
// Incremental, nothing outside the dirty regions is read or asked about, and the map is that of the base except for
// them: the new volume is complete by itself, it shares subtrees with its base and does not refer to it.
//
// Memory: kBackupBuffersBytes and the window, whatever the volume's size. Several volumes may go through one
// ChunkWriter at once.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "core/base/cancel.h"
#include "core/chunk/volume_geometry.h"
#include "core/pipeline/counters.h"
#include "core/pipeline/rate_limiter.h"
#include "core/source/block_source.h"
#include "core/source/dirty_regions.h"
#include "core/store/chunk_reader.h"
#include "core/store/chunk_writer.h"

namespace vzv {

// What an incremental backup builds on.
struct IncrementalBase {
  // What changed since. Its errors are those of the backup.
  DirtyRegions& dirty;
  // Of the base; must be the volume's own.
  VolumeGeometry geometry;
  Id root;
  // Reads the base's map. May belong to the store that is written to.
  ChunkReader& reader;
};

struct VolumeBackupOptions {
  std::uint32_t chunk_size_bytes = 0;
  // Of what is read from the source; may be shared with other volumes. Null: no limit.
  RateLimiter* limiter = nullptr;
  // No read finished for this long while some are in flight: E_SOURCE_STALLED. REQUIRES: > 0
  int stall_timeout_ms = 60'000;
  // None: all of the source is read.
  std::optional<IncrementalBase> incremental{};
  // Ranges of the source are discarded once their chunks are durable or zero. What lies in the last pack is not, since
  // that is finished later.
  bool discard = false;
};

struct VolumeBackupResult {
  VolumeGeometry geometry;
  Id root;
  // Why the source refused a discard; none was tried after it.
  std::optional<std::string> discard_refusal{};
};

// E_ARGUMENT_INVALID, E_SOURCE_READ, E_SOURCE_BITMAP, E_SOURCE_STALLED, E_CANCELLED, errors of the storage. After an
// error the source can only be destroyed. REQUIRES: the source was opened with the same token.
Result<VolumeBackupResult> backup_volume(BlockSource& source, ChunkWriter& writer, const VolumeBackupOptions& options,
                                         BackupCounters& counters, const CancelToken& cancel);

}  // namespace vzv
