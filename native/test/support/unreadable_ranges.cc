#include "test/support/unreadable_ranges.h"

#include <sys/stat.h>

#include <atomic>
#include <cerrno>
#include <stdexcept>

namespace vzv::test {

namespace {

std::atomic<UnreadableRanges*> active{nullptr};

}  // namespace

UnreadableRanges::UnreadableRanges() { active = this; }

UnreadableRanges::~UnreadableRanges() { active = nullptr; }

void UnreadableRanges::add(const std::string& path, std::uint64_t offset, std::uint64_t length, int error) {
  struct stat status;
  if (::stat(path.c_str(), &status) != 0) throw std::runtime_error("there is no " + path);
  std::lock_guard lock(mutex_);
  ranges_.push_back({status.st_dev, status.st_ino, offset, offset + length, error});
}

int UnreadableRanges::error_of(int fd, std::uint64_t offset, std::uint64_t length) {
  struct stat status;
  if (::fstat(fd, &status) != 0) return 0;
  std::lock_guard lock(mutex_);
  for (const Range& range : ranges_) {
    if (range.device != status.st_dev || range.file != status.st_ino) continue;
    if (range.begin >= offset + length || range.end <= offset) continue;
    if (fails_ && !fails_(failures_)) continue;
    ++failures_;
    return range.error;
  }
  return 0;
}

}  // namespace vzv::test

extern "C" {

ssize_t __real_pread64(int fd, void* buffer, size_t length, off64_t offset);

ssize_t __wrap_pread64(int fd, void* buffer, size_t length, off64_t offset) {
  vzv::test::UnreadableRanges* const ranges = vzv::test::active;
  const int error = ranges == nullptr ? 0 : ranges->error_of(fd, static_cast<std::uint64_t>(offset), length);
  if (error == 0) return __real_pread64(fd, buffer, length, offset);
  errno = error;
  return -1;
}
}
