#include "core/source/direct_read.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <new>

#include "core/base/file.h"

namespace vzv {

namespace {

// What O_DIRECT asks of addresses, offsets and lengths, of every device that is common.
constexpr std::uint64_t kDirectBytes = 4096;

bool is_aligned(std::uint64_t value) { return value % kDirectBytes == 0; }

}  // namespace

int read_directly_at(int fd, std::uint64_t offset, std::span<std::uint8_t> into) {
  if (is_aligned(offset) && is_aligned(into.size()) && is_aligned(reinterpret_cast<std::uintptr_t>(into.data()))) {
    return read_exactly_at(fd, offset, into);
  }
  struct Free {
    void operator()(std::uint8_t* bytes) const { ::operator delete[](bytes, std::align_val_t(kDirectBytes)); }
  };
  const std::uint64_t skipped = offset % kDirectBytes;
  const std::uint64_t wanted = skipped + into.size();
  const std::uint64_t room = (wanted + kDirectBytes - 1) / kDirectBytes * kDirectBytes;
  const std::unique_ptr<std::uint8_t[], Free> aligned(
      static_cast<std::uint8_t*>(::operator new[](room, std::align_val_t(kDirectBytes), std::nothrow)));
  if (aligned == nullptr) return ENOMEM;
  std::uint64_t got = 0;
  while (got < wanted) {
    const ssize_t more = ::pread(fd, aligned.get() + got, room - got, static_cast<off_t>(offset - skipped + got));
    if (more < 0 && errno == EINTR) continue;
    if (more < 0) return errno;
    got += static_cast<std::uint64_t>(more);
    // Within a block only the end of the file ends a read, and nothing can be asked for from there on.
    if (got < wanted && (more == 0 || !is_aligned(got))) return ENODATA;
  }
  std::memcpy(into.data(), aligned.get() + skipped, into.size());
  return 0;
}

std::vector<Extent> aligned_extents(const std::vector<Extent>& extents) {
  std::vector<Extent> aligned;
  const auto add = [&](std::uint64_t from, std::uint64_t to, bool zero) {
    if (from >= to) return;
    if (!aligned.empty() && aligned.back().zero == zero) {
      aligned.back().length += to - from;
    } else {
      aligned.push_back({from, to - from, zero});
    }
  };
  for (const Extent& extent : extents) {
    if (!extent.zero) {
      add(extent.offset, extent.end(), false);
      continue;
    }
    const std::uint64_t end = extent.end();
    const std::uint64_t from = std::min(end, (extent.offset + kDirectBytes - 1) / kDirectBytes * kDirectBytes);
    // The end of the disk, or of what was asked for, is as good as a border: nothing is read behind it.
    const std::uint64_t to = end == extents.back().end() ? end : std::max(from, end - end % kDirectBytes);
    add(extent.offset, from, false);
    add(from, to, true);
    add(to, end, false);
  }
  return aligned;
}

}  // namespace vzv
