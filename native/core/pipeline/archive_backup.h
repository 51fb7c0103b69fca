// Backs up an archive: takes a tar stream apart, cuts the contents of its files into chunks, stores those that are new,
// and writes the catalogue of its members.
//
// The calling thread reads the stream and returns when all threads have ended: with what a snapshot keeps of the
// archive, or with the first error of stream, store or token. A store that hangs in the kernel keeps it from returning,
// a stream that stands still does not. Nothing is durable before the ChunkWriter's flush().
//
// A member that repeats an earlier one's path is passed over, data and all: tar writes such where two of its sources
// overlap, or where a file system is mounted that is a source itself; where Proxmox VE unpacks, the earlier one stays.
//
// Memory: kArchiveBuffersBytes of data, a piece of the catalogue, one member with all its extents, and some 30 bytes of
// each member (member_index.h), whatever the sizes. Several archives and volumes may go through one ChunkWriter at
// once.
#pragma once

#include <cstdint>

#include "core/archive/stream_map.h"
#include "core/base/cancel.h"
#include "core/pipeline/counters.h"
#include "core/pipeline/rate_limiter.h"
#include "core/store/chunk_writer.h"

namespace vzv {

struct ArchiveMap {
  std::uint64_t members = 0;
  StreamMap data;
  StreamMap catalogue;

  bool operator==(const ArchiveMap&) const = default;
};

struct ArchiveBackupOptions {
  // Counted on the tar stream, and shared with whatever else has it. nullptr: none. Outlives the backup.
  RateLimiter* limiter = nullptr;
};

// Reads `fd` to its end, also what tar writes behind the end of the archive. E_ARCHIVE_INVALID (how it may have come
// so, tar's exit status tells), E_SOURCE_READ, E_CANCELLED, errors of the storage.
Result<ArchiveMap> backup_archive(int fd, ChunkWriter& writer, const ArchiveBackupOptions& options,
                                  ArchiveCounters& counters, const CancelToken& cancel);

}  // namespace vzv
