#include "core/pipeline/archive_input.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "core/base/limits.h"

namespace vzv {

namespace {

// For a token without a descriptor.
constexpr int kLookAgainMs = 500;

// Until the stream has bytes or ends, or the token is cancelled. False where only time passed.
Result<bool> wait_readable(int fd, const CancelToken& cancel) {
  pollfd polled[2] = {{fd, POLLIN, 0}, {cancel.poll_fd(), POLLIN, 0}};
  const int count = ::poll(polled, 2, kLookAgainMs);
  VZV_TRY(cancel.status());
  if (count < 0 && errno != EINTR) {
    return Status(Code::E_SOURCE_READ, "waiting for the tar stream failed: " + errno_text(errno));
  }
  return count > 0;
}

}  // namespace

ArchiveInput::ArchiveInput(int fd, RateLimiter* limiter, std::atomic<std::uint64_t>& read_bytes,
                           const CancelToken& cancel)
    : fd_(fd), limiter_(limiter), read_bytes_(read_bytes), cancel_(cancel) {
  // A pipe that holds more lets tar work on while a pack is written. Not every descriptor is one, nor every user
  // allowed.
  (void)::fcntl(fd, F_SETPIPE_SZ, static_cast<int>(limits::kTarBufferBytes));
}

Result<std::size_t> ArchiveInput::read(std::span<std::uint8_t> buffer) {
  const std::uint64_t step_max = limiter_ == nullptr ? buffer.size() : limiter_->step_max_bytes();
  const auto most = static_cast<std::size_t>(std::min<std::uint64_t>(buffer.size(), step_max));
  for (;;) {
    const Result<bool> readable = wait_readable(fd_, cancel_);
    if (!readable.ok()) return readable.status();
    if (!*readable) continue;
    const ssize_t count = ::read(fd_, buffer.data(), most);
    if (count >= 0) {
      read_bytes_ += static_cast<std::uint64_t>(count);
      VZV_TRY(wait_for_limit(static_cast<std::size_t>(count)));
      return static_cast<std::size_t>(count);
    }
    if (errno != EINTR && errno != EAGAIN) {
      return Status(Code::E_SOURCE_READ, "reading the tar stream failed: " + errno_text(errno));
    }
  }
}

Status ArchiveInput::wait_for_limit(std::size_t bytes) {
  while (limiter_ != nullptr) {
    const auto wait = limiter_->take(bytes, RateLimiter::Clock::now());
    if (wait <= RateLimiter::Clock::duration::zero()) return {};
    const auto milliseconds = std::chrono::ceil<std::chrono::milliseconds>(wait).count();
    pollfd polled{cancel_.poll_fd(), POLLIN, 0};
    (void)::poll(&polled, 1, static_cast<int>(std::min<std::int64_t>(milliseconds, kLookAgainMs)));
    VZV_TRY(cancel_.status());
  }
  return {};
}

}  // namespace vzv
