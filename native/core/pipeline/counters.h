// How far a job has come: written by its threads, read by whoever shows progress, at any time.
//
// The numbers only grow. Each is exact; read together while the job runs they may be of slightly different moments.
#pragma once

#include <atomic>
#include <cstdint>

namespace vzv {

// One volume's backup. In the end processed = size = unchanged + zero + reused + new.
struct BackupCounters {
  std::atomic<std::uint64_t> size_bytes{0};
  // Read, passed over because they are holes, or unchanged.
  std::atomic<std::uint64_t> processed_bytes{0};
  // Outside the dirty regions: neither read nor looked at.
  std::atomic<std::uint64_t> unchanged_bytes{0};
  std::atomic<std::uint64_t> read_bytes{0};
  // Chunks that were found zero or known to be.
  std::atomic<std::uint64_t> zero_bytes{0};
  std::atomic<std::uint64_t> reused_bytes{0};
  std::atomic<std::uint64_t> new_bytes{0};
  // Of the new: what it takes in packs, encoded.
  std::atomic<std::uint64_t> written_bytes{0};
  // Of the source, given back to it.
  std::atomic<std::uint64_t> discarded_bytes{0};
};

// The backup of an archive. In the end zero + reused + new is the size of its data stream.
struct ArchiveCounters {
  std::atomic<std::uint64_t> members{0};
  // Of the tar stream, headers and padding included.
  std::atomic<std::uint64_t> read_bytes{0};
  std::atomic<std::uint64_t> zero_bytes{0};
  std::atomic<std::uint64_t> reused_bytes{0};
  std::atomic<std::uint64_t> new_bytes{0};
};

// The restore of a volume, or the verification of a volume or an archive.
struct CopyCounters {
  std::atomic<std::uint64_t> total_bytes{0};
  std::atomic<std::uint64_t> processed_bytes{0};
  // Of processed: holes, which are not read from the repository.
  std::atomic<std::uint64_t> hole_bytes{0};
};

}  // namespace vzv
