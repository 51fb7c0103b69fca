#include "core/source/file_source.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <span>
#include <utility>

#include "core/base/file.h"
#include "core/base/limits.h"
#include "core/base/sparse_file.h"
#include "core/source/call_threads.h"
#include "core/source/direct_read.h"

namespace vzv {

namespace {

using Clock = std::chrono::steady_clock;

struct Opened {
  Status status;
  std::shared_ptr<const UniqueFd> fd;
  std::uint64_t size_bytes = 0;
  bool regular = false;
  bool direct = false;  // opened with O_DIRECT
};

Opened look_at(std::shared_ptr<const UniqueFd> fd, const std::string& name) {
  Opened opened;
  opened.fd = std::move(fd);
  const auto fail = [&](const std::string& why) {
    opened.status = Status(Code::E_SOURCE_UNREACHABLE, "opening " + name + ": " + why);
    return std::move(opened);
  };
  struct stat status;
  if (::fstat(opened.fd->get(), &status) != 0) return fail(errno_text(errno));
  if (S_ISREG(status.st_mode)) {
    opened.regular = true;
    opened.size_bytes = static_cast<std::uint64_t>(status.st_size);
  } else if (S_ISBLK(status.st_mode)) {
    if (::ioctl(opened.fd->get(), BLKGETSIZE64, &opened.size_bytes) != 0) return fail(errno_text(errno));
  } else {
    return fail("it is neither a regular file nor a block device");
  }
  const int flags = ::fcntl(opened.fd->get(), F_GETFL);
  opened.direct = flags >= 0 && (flags & O_DIRECT) != 0;
  return opened;
}

Opened open_file(const std::string& path) {
  // O_NONBLOCK so that a named pipe is refused and not waited for.
  auto fd = std::make_shared<const UniqueFd>(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (fd->valid()) return look_at(std::move(fd), path);
  Opened opened;
  opened.status = Status(Code::E_SOURCE_UNREACHABLE, "opening " + path + ": " + errno_text(errno));
  return opened;
}

// Whether the file still reaches `end`: beyond its end the kernel knows no data either, and that is no hole.
bool reaches(int fd, std::uint64_t end) {
  struct stat status;
  return ::fstat(fd, &status) == 0 && static_cast<std::uint64_t>(status.st_size) >= end;
}

// With `doubtful`, a file system's word that there is no more data is not taken: only that of a hole before data is.
std::vector<Extent> find_extents(int fd, std::uint64_t offset, std::uint64_t length, bool doubtful) {
  const std::uint64_t end = offset + length;
  std::vector<Extent> extents;
  std::uint64_t at = offset;
  while (at < end && extents.size() < limits::kExtentsMax) {
    const off_t found = ::lseek(fd, static_cast<off_t>(at), SEEK_DATA);
    if (found < 0 && doubtful) {
      extents.push_back({at, end - at, false});
      break;
    }
    // ENXIO: no data up to the end of the file. Anything else: this file system cannot tell.
    if (found < 0 && errno != ENXIO) return {{offset, length, false}};
    // Of a file that shrank, what is gone is called data: reading it fails, and says why.
    if (found < 0 && !reaches(fd, end)) return {{offset, length, false}};
    const std::uint64_t data = found < 0 ? end : std::min(end, static_cast<std::uint64_t>(found));
    if (data > at) extents.push_back({at, data - at, true});
    if (data >= end) break;
    const off_t hole = ::lseek(fd, static_cast<off_t>(data), SEEK_HOLE);
    if (hole <= static_cast<off_t>(data)) return {{offset, length, false}};
    at = std::min(end, static_cast<std::uint64_t>(hole));
    extents.push_back({data, at - data, false});
  }
  return extents;
}

class FileSource final : public BlockSource {
 public:
  FileSource(std::string name, int stall_timeout_ms, const CancelToken& cancel)
      : name_(std::move(name)), stall_timeout_ms_(stall_timeout_ms), cancel_(cancel) {}

  // Opens the path that is its name, or takes a descriptor.
  Status open();
  Status open(std::shared_ptr<const UniqueFd> fd);

  const std::string& name() const override { return name_; }
  std::uint64_t size_bytes() const override { return size_bytes_; }
  unsigned max_in_flight() const override { return limits::kFileReadsInFlight; }
  Result<std::vector<Extent>> extents(std::uint64_t offset, std::uint64_t length) override;
  Status submit_read(std::uint64_t offset, std::size_t length, ReadBuffer buffer, ReadDone done) override;
  Status submit_discard(std::uint64_t offset, std::uint64_t length, ReadDone done) override;
  Result<bool> poll(int timeout_ms) override;

 private:
  // Runs `function` on a thread of the file and waits for what it returns, but not for ever.
  template <typename Function>
  auto call(const std::string& doing, Function function) -> Result<std::invoke_result_t<Function>>;
  Status take(Result<Opened> opened);

  const std::string name_;
  const int stall_timeout_ms_;
  const CancelToken& cancel_;
  std::shared_ptr<const UniqueFd> fd_;  // shared with the calls under way
  std::uint64_t size_bytes_ = 0;
  bool regular_ = false;
  bool direct_ = false;
  bool is_descriptor_ = false;
  CallThreads threads_;
};

template <typename Function>
auto FileSource::call(const std::string& doing, Function function) -> Result<std::invoke_result_t<Function>> {
  VZV_TRY(cancel_.status());
  // Shared with the thread: a call that hangs may answer when nobody waits for it any more.
  struct Answer {
    std::invoke_result_t<Function> value;
    std::atomic<bool> ready{false};
  };
  auto answer = std::make_shared<Answer>();
  threads_.post([answer, function, channel = threads_.channel()] {
    answer->value = function();
    answer->ready.store(true, std::memory_order_release);
    channel->signal();
  });
  const auto deadline = Clock::now() + std::chrono::milliseconds(stall_timeout_ms_);
  while (!answer->ready.load(std::memory_order_acquire)) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
    if (left <= 0) {
      return Status(Code::E_SOURCE_STALLED,
                    doing + " " + name_ + ": no answer for " + std::to_string(stall_timeout_ms_) + " ms");
    }
    Result<bool> woken = threads_.wait(static_cast<int>(left), cancel_);
    if (!woken.ok()) return woken.status();
  }
  return std::move(answer->value);
}

Status FileSource::open() {
  VZV_TRY(threads_.start(limits::kFileThreads));
  return take(call("opening", [path = name_] { return open_file(path); }));
}

Status FileSource::open(std::shared_ptr<const UniqueFd> fd) {
  is_descriptor_ = true;
  VZV_TRY(threads_.start(limits::kFileThreads));
  return take(call("opening", [fd, name = name_] { return look_at(fd, name); }));
}

Status FileSource::take(Result<Opened> opened) {
  if (!opened.ok()) return opened.status();
  VZV_TRY(opened->status);
  fd_ = opened->fd;
  size_bytes_ = opened->size_bytes;
  regular_ = opened->regular;
  direct_ = opened->direct;
  return {};
}

Result<std::vector<Extent>> FileSource::extents(std::uint64_t offset, std::uint64_t length) {
  // A block device has no holes that could be asked for.
  if (!regular_) return std::vector<Extent>{{offset, length, false}};
  return call("finding the holes of", [fd = fd_, offset, length, doubtful = is_descriptor_, direct = direct_] {
    const std::vector<Extent> extents = find_extents(fd->get(), offset, length, doubtful);
    return direct ? aligned_extents(extents) : extents;
  });
}

Status FileSource::submit_read(std::uint64_t offset, std::size_t length, ReadBuffer buffer, ReadDone done) {
  threads_.post([fd = fd_, name = name_, offset, length, direct = direct_, buffer = std::move(buffer),
                 done = std::move(done), channel = threads_.channel()]() mutable {
    const std::span<std::uint8_t> into(buffer.get(), length);
    const int error = direct ? read_directly_at(fd->get(), offset, into) : read_exactly_at(fd->get(), offset, into);
    buffer.reset();  // before anybody hears of it
    Status status;
    if (error != 0) {
      status = Status(Code::E_SOURCE_READ, "reading " + name + " at offset " + std::to_string(offset) + ": " +
                                               (error == ENODATA ? "the file ends there" : errno_text(error)));
    }
    channel->finish([done = std::move(done), status = std::move(status)] { done(status); });
  });
  return {};
}

Status FileSource::submit_discard(std::uint64_t offset, std::uint64_t length, ReadDone done) {
  if (!is_descriptor_) return BlockSource::submit_discard(offset, length, std::move(done));
  threads_.post(
      [fd = fd_, name = name_, offset, length, done = std::move(done), channel = threads_.channel()]() mutable {
        Status status = deallocate(fd->get(), offset, length);
        if (!status.ok()) status = Status(status.code(), name + ": " + status.message());
        channel->finish([done = std::move(done), status = std::move(status)] { done(status); });
      });
  return {};
}

Result<bool> FileSource::poll(int timeout_ms) {
  const auto deadline = Clock::now() + std::chrono::milliseconds(timeout_ms);
  while (true) {
    if (auto finished = threads_.take_finished(); !finished.empty()) {
      for (const auto& tell : finished) tell();
      return true;
    }
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
    Result<bool> woken = threads_.wait(static_cast<int>(std::max<std::int64_t>(left, 0)), cancel_);
    if (!woken.ok()) return woken.status();
    if (left <= 0 && !*woken) return false;
  }
}

}  // namespace

Result<std::unique_ptr<BlockSource>> open_file_source(const FileAddress& address, int stall_timeout_ms,
                                                      const CancelToken& cancel) {
  auto source = std::make_unique<FileSource>(address.path, stall_timeout_ms, cancel);
  VZV_TRY(source->open());
  return std::unique_ptr<BlockSource>(std::move(source));
}

Result<std::unique_ptr<BlockSource>> open_file_source(const DescriptorAddress& address, int stall_timeout_ms,
                                                      const CancelToken& cancel) {
  auto source = std::make_unique<FileSource>(address.name, stall_timeout_ms, cancel);
  VZV_TRY(source->open(address.fd));
  return std::unique_ptr<BlockSource>(std::move(source));
}

}  // namespace vzv
