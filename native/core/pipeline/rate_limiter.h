// A token bucket: how fast sources may be read, those of all volumes together that share it. Thread-safe; the caller
// brings the time, so that tests own it.
//
// Over any time t at most rate * t bytes pass, plus what was saved up while nothing was read, at most half a second's
// worth: a pipeline that stalls for less than that loses nothing of its rate.
#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>

namespace vzv {

class RateLimiter {
 public:
  using Clock = std::chrono::steady_clock;

  // 0 bytes per second: no limit.
  RateLimiter(std::uint64_t bytes_per_second, Clock::time_point now);

  // The most that one take() may ask for, a multiple of 64 KiB (the largest unit in which NBD servers must be read).
  std::uint64_t step_max_bytes() const { return step_max_bytes_; }

  // Zero: the bytes may be read now, and count. Otherwise how long to wait before asking again. A time before that of
  // an earlier call counts as that one. REQUIRES: bytes <= step_max_bytes()
  Clock::duration take(std::uint64_t bytes, Clock::time_point now);

 private:
  const double bytes_per_second_;
  const std::uint64_t step_max_bytes_;
  const double capacity_bytes_;
  std::mutex mutex_;
  double saved_bytes_ = 0;     // GUARDED BY mutex_
  Clock::time_point updated_;  // GUARDED BY mutex_
};

}  // namespace vzv
