#include "core/base/sparse_file.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "core/base/file.h"
#include "core/base/limits.h"

namespace vzv {

namespace {

Status failed(int error, const std::string& doing) {
  if (error == EOPNOTSUPP || error == ENOSYS || error == ENOTTY) {
    return Status(Code::E_UNSUPPORTED, doing + ": " + errno_text(error));
  }
  return storage_errno(error, doing);
}

std::string range(std::uint64_t offset, std::uint64_t length) {
  return std::to_string(length) + " bytes at offset " + std::to_string(offset);
}

int fallocate_range(int fd, int mode, std::uint64_t offset, std::uint64_t length) {
  while (::fallocate(fd, mode, static_cast<off_t>(offset), static_cast<off_t>(length)) != 0) {
    if (errno != EINTR) return errno;
  }
  return 0;
}

// Between these two files or for this range the kernel does not copy; reading and writing may still work.
bool wants_read_write(int error) {
  return error == EXDEV || error == ENOSYS || error == EOPNOTSUPP || error == EINVAL || error == EPERM;
}

Result<std::uint64_t> copy_through_memory(int from, std::uint64_t from_offset, int to, std::uint64_t to_offset,
                                          std::uint64_t length) {
  Bytes buffer(std::min<std::uint64_t>(length, limits::kReadBufferBytes));
  std::uint64_t copied = 0;
  while (copied < length) {
    const std::uint64_t wanted = std::min<std::uint64_t>(length - copied, buffer.size());
    const std::int64_t got = read_up_to_at(from, from_offset + copied, {buffer.data(), wanted});
    if (got < 0) return failed(static_cast<int>(-got), "reading " + range(from_offset + copied, wanted));
    if (got == 0) break;
    for (std::int64_t done = 0; done < got;) {
      const ssize_t written = ::pwrite(to, buffer.data() + done, static_cast<std::size_t>(got - done),
                                       static_cast<off_t>(to_offset + copied) + done);
      if (written < 0 && errno == EINTR) continue;
      if (written <= 0) return failed(written < 0 ? errno : EIO, "writing " + range(to_offset + copied, wanted));
      done += written;
    }
    copied += static_cast<std::uint64_t>(got);
  }
  return copied;
}

}  // namespace

Status deallocate(int fd, std::uint64_t offset, std::uint64_t length) {
  const std::string doing = "deallocating " + range(offset, length);
  struct stat status;
  if (::fstat(fd, &status) != 0) return failed(errno, doing);
  if (S_ISBLK(status.st_mode)) {
    std::uint64_t wanted[2] = {offset, length};
    return ::ioctl(fd, BLKDISCARD, wanted) == 0 ? Status() : failed(errno, doing);
  }
  const int error = fallocate_range(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, length);
  return error == 0 ? Status() : failed(error, doing);
}

Status allocate(int fd, std::uint64_t offset, std::uint64_t length) {
  const int error = fallocate_range(fd, 0, offset, length);
  return error == 0 ? Status() : failed(error, "allocating " + range(offset, length));
}

Result<Copied> copy_range(int from, std::uint64_t from_offset, int to, std::uint64_t to_offset, std::uint64_t length) {
  Copied copied;
  while (copied.bytes < length) {
    auto read_at = static_cast<off64_t>(from_offset + copied.bytes);
    auto write_at = static_cast<off64_t>(to_offset + copied.bytes);
    const std::uint64_t step = std::min(length - copied.bytes, limits::kKernelStepBytes);
    const ssize_t moved = ::copy_file_range(from, &read_at, to, &write_at, step, 0);
    if (moved < 0 && errno == EINTR) continue;
    if (moved < 0 && !wants_read_write(errno))
      return failed(errno, "copying " + range(from_offset + copied.bytes, step));
    if (moved > 0) {
      copied.bytes += static_cast<std::uint64_t>(moved);
      continue;
    }
    // Nothing moved: the end of the file, or a kernel that says so where it is not (files of procfs and of some FUSE
    // file systems).
    Result<std::uint64_t> rest =
        copy_through_memory(from, from_offset + copied.bytes, to, to_offset + copied.bytes, length - copied.bytes);
    if (!rest.ok()) return rest.status();
    if (*rest > 0 || moved < 0) copied.method = CopyMethod::kReadWrite;
    copied.bytes += *rest;
    break;
  }
  return copied;
}

Result<bool> clone(int from, int to) {
  if (::ioctl(to, FICLONE, from) == 0) return true;
  if (errno == EOPNOTSUPP || errno == ENOTTY || errno == ENOSYS || errno == EXDEV || errno == EINVAL) return false;
  return failed(errno, "cloning");
}

namespace {

Result<Copied> copy_extents(int from, int to, std::uint64_t size) {
  Copied copied;
  if (::ftruncate(to, static_cast<off_t>(size)) != 0) return failed(errno, "setting the size");
  for (std::uint64_t at = 0; at < size;) {
    const off_t data = ::lseek(from, static_cast<off_t>(at), SEEK_DATA);
    if (data < 0 && errno == ENXIO) break;
    // A file system that cannot tell its holes: all of it is data.
    const std::uint64_t begin = data < 0 ? at : static_cast<std::uint64_t>(data);
    const off_t hole = data < 0 ? -1 : ::lseek(from, data, SEEK_HOLE);
    const std::uint64_t end = hole < 0 ? size : std::min(size, static_cast<std::uint64_t>(hole));
    if (end <= begin) break;
    Result<Copied> extent = copy_range(from, begin, to, begin, end - begin);
    if (!extent.ok()) return extent;
    copied.bytes += extent->bytes;
    if (extent->method == CopyMethod::kReadWrite) copied.method = CopyMethod::kReadWrite;
    at = end;
  }
  return copied;
}

}  // namespace

Result<Copied> copy_file(const std::string& from_path, const std::string& to_path) {
  const UniqueFd from = open_at(AT_FDCWD, from_path.c_str(), O_RDONLY | O_NONBLOCK);
  if (!from.valid()) return failed(errno, "opening " + from_path);
  struct stat status;
  if (::fstat(from.get(), &status) != 0) return failed(errno, "opening " + from_path);
  if (!S_ISREG(status.st_mode)) return Status(Code::E_UNSUPPORTED, "copying " + from_path + ": it is no regular file");
  const UniqueFd to = open_at(AT_FDCWD, to_path.c_str(), O_RDWR | O_CREAT | O_EXCL, status.st_mode & 07777);
  if (!to.valid()) return failed(errno, "making " + to_path);

  const auto size = static_cast<std::uint64_t>(status.st_size);
  const auto copy = [&]() -> Result<Copied> {
    Result<bool> cloned = clone(from.get(), to.get());
    if (!cloned.ok()) return cloned.status();
    if (*cloned) return Copied{size, CopyMethod::kClone};
    return copy_extents(from.get(), to.get(), size);
  };
  Result<Copied> copied = copy();
  if (!copied.ok()) {
    ::unlink(to_path.c_str());
    return Status(copied.status().code(), "copying " + from_path + " to " + to_path + ": " + copied.status().message());
  }
  return copied;
}

}  // namespace vzv
