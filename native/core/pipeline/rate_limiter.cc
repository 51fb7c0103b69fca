#include "core/pipeline/rate_limiter.h"

#include <algorithm>
#include <limits>

#include "core/base/limits.h"

namespace vzv {

namespace {

constexpr std::uint64_t kStepUnitBytes = 64 * limits::kKiB;

std::uint64_t step_max(std::uint64_t bytes_per_second) {
  if (bytes_per_second == 0) return std::numeric_limits<std::uint64_t>::max();
  return std::max(kStepUnitBytes, bytes_per_second / 8 / kStepUnitBytes * kStepUnitBytes);
}

}  // namespace

RateLimiter::RateLimiter(std::uint64_t bytes_per_second, Clock::time_point now)
    : bytes_per_second_(static_cast<double>(bytes_per_second)),
      step_max_bytes_(step_max(bytes_per_second)),
      capacity_bytes_(std::max(bytes_per_second_ / 2, static_cast<double>(kStepUnitBytes))),
      updated_(now) {}

RateLimiter::Clock::duration RateLimiter::take(std::uint64_t bytes, Clock::time_point now) {
  if (bytes_per_second_ == 0) return Clock::duration::zero();
  std::lock_guard lock(mutex_);
  // Threads read the clock before they come here, in whatever order.
  const std::chrono::duration<double> passed = std::max(now, updated_) - updated_;
  updated_ = std::max(now, updated_);
  saved_bytes_ = std::min(capacity_bytes_, saved_bytes_ + passed.count() * bytes_per_second_);
  const double missing = static_cast<double>(bytes) - saved_bytes_;
  if (missing > 0) {
    return std::chrono::ceil<Clock::duration>(std::chrono::duration<double>(missing / bytes_per_second_));
  }
  saved_bytes_ -= static_cast<double>(bytes);
  return Clock::duration::zero();
}

}  // namespace vzv
