// A token bucket: how fast a source may be read. One thread; the caller brings the time, so that tests own it.
//
// Over any time t at most rate * t bytes pass, plus a burst of a quarter of a second's worth that saved up while
// nothing was read.
#pragma once

#include <chrono>
#include <cstdint>

namespace vzv {

class RateLimiter {
 public:
  using Clock = std::chrono::steady_clock;

  // 0 bytes per second: no limit.
  RateLimiter(std::uint64_t bytes_per_second, Clock::time_point now);

  // The most that one take() may ask for, a multiple of 64 KiB (the largest unit in which NBD servers must be read).
  std::uint64_t step_max_bytes() const { return step_max_bytes_; }

  // Zero: the bytes may be read now, and count. Otherwise how long to wait before asking again.
  // REQUIRES: bytes <= step_max_bytes()
  Clock::duration take(std::uint64_t bytes, Clock::time_point now);

 private:
  const double bytes_per_second_;
  const std::uint64_t step_max_bytes_;
  const double capacity_bytes_;
  double saved_bytes_ = 0;
  Clock::time_point updated_;
};

}  // namespace vzv
