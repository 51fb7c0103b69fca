#include "core/pipeline/restore_target.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include "core/base/limits.h"
#include "core/chunk/zero.h"

namespace vzv {

namespace {

// Zeroes in runs of this size are left out of a regular file: what a disk image usually allocates in, few calls for
// what is not zero.
constexpr std::size_t kSparseBlockBytes = 64 * limits::kKiB;

// The directory that holds `path`.
std::string parent_of(const std::string& path) {
  const auto slash = path.find_last_of('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

}  // namespace

Status RestoreTarget::error(const char* doing, int error) const {
  return Status(Code::E_TARGET_WRITE, std::string(doing) + " " + path_ + ": " + errno_text(error));
}

Result<std::unique_ptr<RestoreTarget>> RestoreTarget::open(const std::string& path, bool overwrite,
                                                           std::uint64_t size_bytes) {
  const auto failed = [&](const std::string& why) {
    return Status(Code::E_TARGET_WRITE, "opening " + path + ": " + why);
  };
  bool is_new = true;
  UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!fd.valid()) {
    if (errno != EEXIST) return failed(errno_text(errno));
    if (!overwrite) return Status(Code::E_TARGET_EXISTS, path + " exists already");
    is_new = false;
    struct stat status;
    if (::stat(path.c_str(), &status) != 0) return failed(errno_text(errno));
    // O_EXCL without O_CREAT: the kernel refuses a block device that is mounted or otherwise in use.
    const int exclusive = S_ISBLK(status.st_mode) ? O_EXCL : 0;
    fd.reset(::open(path.c_str(), O_WRONLY | O_CLOEXEC | O_NONBLOCK | exclusive));
    if (!fd.valid()) return failed(errno_text(errno));
  }
  struct stat status;
  if (::fstat(fd.get(), &status) != 0) return failed(errno_text(errno));
  if (!S_ISREG(status.st_mode) && !S_ISBLK(status.st_mode)) {
    return failed("it is neither a regular file nor a block device");
  }
  std::unique_ptr<RestoreTarget> target(new RestoreTarget(path, std::move(fd), S_ISBLK(status.st_mode), is_new));
  VZV_TRY(target->prepare(size_bytes));
  return target;
}

Status RestoreTarget::prepare(std::uint64_t size_bytes) {
  if (!is_block_device_) {
    // Cut to nothing first: whatever an old file held must not show in the holes.
    if (::ftruncate(fd_.get(), 0) != 0 || ::ftruncate(fd_.get(), static_cast<off_t>(size_bytes)) != 0) {
      return error("setting the size of", errno);
    }
    return {};
  }
  std::uint64_t device_bytes = 0;
  int block_bytes = 0;
  if (::ioctl(fd_.get(), BLKGETSIZE64, &device_bytes) != 0 || ::ioctl(fd_.get(), BLKSSZGET, &block_bytes) != 0) {
    return error("finding the size of", errno);
  }
  if (device_bytes < size_bytes) {
    return Status(Code::E_TARGET_WRITE, path_ + " has " + std::to_string(device_bytes) + " bytes, the disk has " +
                                            std::to_string(size_bytes));
  }
  block_bytes_ = static_cast<std::uint64_t>(block_bytes);
  return {};
}

RestoreTarget::~RestoreTarget() {
  if (is_new_ && !finished_) ::unlink(path_.c_str());
}

Status RestoreTarget::write(std::uint64_t offset, ByteSpan bytes) {
  if (is_block_device_) return write_fully(offset, bytes);
  const auto block_at = [&](std::size_t at) {
    return bytes.subspan(at, std::min(kSparseBlockBytes, bytes.size() - at));
  };
  for (std::size_t at = 0; at < bytes.size();) {
    // As many blocks with data as follow one another; the block behind them is zero and is left out.
    std::size_t end = at;
    while (end < bytes.size() && !is_zero(block_at(end))) end += block_at(end).size();
    VZV_TRY(write_fully(offset + at, bytes.subspan(at, end - at)));
    at = end < bytes.size() ? end + block_at(end).size() : end;
  }
  return {};
}

Status RestoreTarget::write_fully(std::uint64_t offset, ByteSpan bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::pwrite(fd_.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return error("writing", written < 0 ? errno : EIO);
    bytes = bytes.subspan(static_cast<std::size_t>(written));
    offset += static_cast<std::uint64_t>(written);
  }
  return {};
}

Status RestoreTarget::zero(std::uint64_t offset, std::uint64_t length, const CancelToken& cancel) {
  if (!is_block_device_) return {};
  while (length > 0) {
    VZV_TRY(cancel.status());
    const std::uint64_t step = std::min(length, limits::kKernelStepBytes);
    VZV_TRY(zero_device(offset, step));
    offset += step;
    length -= step;
  }
  return {};
}

Status RestoreTarget::zero_device(std::uint64_t offset, std::uint64_t length) {
  // Whole blocks by one call, which the device may do without writing; it takes nothing smaller.
  const std::uint64_t end = offset + length;
  std::uint64_t range[2] = {offset, length - length % block_bytes_};
  if (range[1] > 0 && offset % block_bytes_ == 0 && ::ioctl(fd_.get(), BLKZEROOUT, range) == 0) offset += range[1];
  const Bytes zeroes(std::min<std::uint64_t>(end - offset, limits::kWriteBufferBytes));
  while (offset < end) {
    const std::uint64_t piece = std::min<std::uint64_t>(end - offset, zeroes.size());
    VZV_TRY(write_fully(offset, {zeroes.data(), piece}));
    offset += piece;
  }
  return {};
}

Status RestoreTarget::finish() {
  if (const int failed = sync_file(fd_.get()); failed != 0) return error("flushing", failed);
  if (is_new_) {
    const UniqueFd parent = open_at(AT_FDCWD, parent_of(path_).c_str(), O_RDONLY | O_DIRECTORY);
    if (const int failed = parent.valid() ? sync_directory(parent.get()) : errno; failed != 0) {
      return error("flushing the directory of", failed);
    }
  }
  finished_ = true;
  return {};
}

}  // namespace vzv
