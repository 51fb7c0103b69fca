// The calls that give space back, reserve it, and copy without moving bytes.
//
// Offsets are explicit, file positions are neither used nor kept (SEEK_DATA moves that of the source in copy_file).
// Thread-safe on different descriptors. Errors are worded as those of the storage (storage_errno); E_UNSUPPORTED says
// that the file system or device has no such call, so that a caller can stop asking.
#pragma once

#include <cstdint>
#include <string>

#include "core/base/status.h"

namespace vzv {

// Gives the space of [offset, offset + length) back; it reads as zero afterwards in a regular file (punched hole, size
// kept); on a block device it is discarded, what it reads as afterwards is up to the device, and a range that is no
// multiple of its blocks is refused.
Status deallocate(int fd, std::uint64_t offset, std::uint64_t length);

// Reserves space for [offset, offset + length), growing the file where it is shorter. What was written stays.
Status allocate(int fd, std::uint64_t offset, std::uint64_t length);

enum class CopyMethod { kClone, kCopyRange, kReadWrite };

struct Copied {
  std::uint64_t bytes = 0;
  // kReadWrite as soon as any part needed it.
  CopyMethod method = CopyMethod::kCopyRange;
};

// Copies up to `length` bytes; fewer only where the source ends. copy_file_range(2) where the kernel offers it between
// these two, else through memory. REQUIRES: the ranges do not overlap within one file.
Result<Copied> copy_range(int from, std::uint64_t from_offset, int to, std::uint64_t to_offset, std::uint64_t length);

// Makes `to` share all of `from`'s blocks (FICLONE). False where the file system cannot.
Result<bool> clone(int from, int to);

// Copies a regular file to a path that must not exist (E_NAME_TAKEN): cloned, or extent by extent with its holes. On
// failure nothing is left at `to_path`. `bytes` counts what was copied, not holes; all of the size for a clone. Not
// made durable.
Result<Copied> copy_file(const std::string& from_path, const std::string& to_path);

}  // namespace vzv
