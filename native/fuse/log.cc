#include "fuse/log.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <climits>

#include "core/base/limits.h"

namespace vzv::fuse {
namespace {

constexpr std::string_view kPrefix = "vzvault-fuse: ";
constexpr std::chrono::seconds kRepeatAfter{60};

}  // namespace

void Log::write_line(std::string line) {
  for (char& c : line) {
    if (static_cast<unsigned char>(c) < 0x20) c = ' ';
  }
  // Up to PIPE_BUF a pipe that is ready takes a line whole and at once.
  if (line.size() > PIPE_BUF - 1) line.resize(PIPE_BUF - 1);
  line += '\n';
  pollfd ready{.fd = fd_, .events = POLLOUT, .revents = 0};
  const bool writable = poll(&ready, 1, 0) == 1 && (ready.revents & POLLOUT) != 0;
  if (!writable || write(fd_, line.data(), line.size()) != static_cast<ssize_t>(line.size())) {
    dropped_.fetch_add(1, std::memory_order_relaxed);
  }
}

void Log::info(std::string_view message) {
  std::string line(kPrefix);
  line += "info: ";
  line += message;
  write_line(std::move(line));
}

void Log::error(const Status& status) {
  std::string line(kPrefix);
  line += "error ";
  line += code_name(status.code());
  line += ": ";
  line += status.message();
  write_line(std::move(line));
}

void Log::fault(const std::string& fault, std::string_view context, const Status& status, Clock::time_point now) {
  {
    const std::lock_guard lock(mutex_);
    // Forgetting them all now and then costs a repeated line, keeping them all would cost memory without bound.
    if (last_said_.size() >= limits::kMountFaultsRemembered) last_said_.clear();
    const auto [entry, fresh] = last_said_.try_emplace(fault, now);
    if (!fresh && now - entry->second < kRepeatAfter) return;
    entry->second = now;
  }
  std::string message(context);
  message += ": ";
  message += status.message();
  error(Status(status.code(), std::move(message)));
}

}  // namespace vzv::fuse
