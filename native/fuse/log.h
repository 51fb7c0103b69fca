// The log of vzvault-fuse: lines on stderr, read by the daemon, a journal or a person.
//
// A line is "vzvault-fuse: error E_CODE: message" or "vzvault-fuse: info: message". Logging never blocks the file
// system: where stderr is a pipe that nobody reads, lines are dropped and counted. A fault that repeats (the kernel
// asks for each page of a damaged chunk again) is one line a minute. Threads: any.
#pragma once

#include <atomic>
#include <chrono>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

#include "core/base/status.h"

namespace vzv::fuse {

class Log {
 public:
  using Clock = std::chrono::steady_clock;

  // `fd` stays the caller's.
  explicit Log(int fd) : fd_(fd) {}

  void info(std::string_view message);
  void error(const Status& status);
  // As error(), at most once a minute for a `fault` (what tells one fault from another). `context` goes before the
  // message.
  void fault(const std::string& fault, std::string_view context, const Status& status,
             Clock::time_point now = Clock::now());

  // Lines that could not be written without waiting.
  std::uint64_t dropped() const { return dropped_.load(std::memory_order_relaxed); }

 private:
  void write_line(std::string line);

  const int fd_;
  std::atomic<std::uint64_t> dropped_{0};
  std::mutex mutex_;
  std::unordered_map<std::string, Clock::time_point> last_said_;  // guarded by mutex_
};

}  // namespace vzv::fuse
