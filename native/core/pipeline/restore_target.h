// Where a volume is restored to: a new file, an existing one, or a block device.
//
// What is not written reads as zero in a regular file, which is cut to nothing first; on a block device zeroes are
// written. A file that was made for this restore and not finished is removed, so that a half-restored disk is never
// taken for a whole one.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "core/base/cancel.h"
#include "core/base/file.h"
#include "core/base/id.h"
#include "core/base/status.h"

namespace vzv {

class RestoreTarget {
 public:
  // E_TARGET_EXISTS where `path` exists and overwriting was not asked for; E_TARGET_WRITE for anything else, such as a
  // block device that is smaller than the volume or in use. What a block device holds beyond size_bytes stays as it is.
  static Result<std::unique_ptr<RestoreTarget>> open(const std::string& path, bool overwrite, std::uint64_t size_bytes);
  ~RestoreTarget();
  RestoreTarget(const RestoreTarget&) = delete;
  RestoreTarget& operator=(const RestoreTarget&) = delete;

  // E_TARGET_WRITE. Blocks of zeroes take no space in a regular file. Thread-safe. REQUIRES: the range lies within
  // size_bytes.
  Status write(std::uint64_t offset, ByteSpan bytes);
  // Makes the range read as zero; costs nothing in a regular file. E_TARGET_WRITE, E_CANCELLED. REQUIRES: as write(),
  // and nothing was written to the range.
  Status zero(std::uint64_t offset, std::uint64_t length, const CancelToken& cancel);
  // Makes everything durable. E_TARGET_WRITE.
  Status finish();

 private:
  RestoreTarget(std::string path, UniqueFd fd, bool is_block_device, bool is_new)
      : path_(std::move(path)), fd_(std::move(fd)), is_block_device_(is_block_device), is_new_(is_new) {}
  Status prepare(std::uint64_t size_bytes);
  Status write_fully(std::uint64_t offset, ByteSpan bytes);
  Status zero_device(std::uint64_t offset, std::uint64_t length);
  Status error(const char* doing, int error) const;

  const std::string path_;
  const UniqueFd fd_;
  const bool is_block_device_;
  const bool is_new_;
  std::uint64_t block_bytes_ = 512;
  bool finished_ = false;
};

}  // namespace vzv
