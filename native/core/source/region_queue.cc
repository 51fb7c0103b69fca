#include "core/source/region_queue.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "core/base/limits.h"

namespace vzv {

namespace {

// How late a token that was cancelled is noticed.
constexpr std::chrono::milliseconds kLookInterval(50);

}  // namespace

Result<bool> RegionQueue::wait_for_batch(std::unique_lock<std::mutex>& lock) {
  is_wanted_ = true;
  if (wanted_) {
    const Wanted wanted = std::exchange(wanted_, nullptr);
    lock.unlock();
    wanted(true);
    lock.lock();
  }
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(stall_timeout_ms_);
  while (is_wanted_) {
    if (cancel_.cancelled()) return cancel_.status();
    const auto now = std::chrono::steady_clock::now();
    if (now >= deadline) {
      return Status(Code::E_SOURCE_STALLED, "asking for the dirty regions of " + name_ + ": no answer for " +
                                                std::to_string(stall_timeout_ms_) + " ms");
    }
    changed_.wait_until(lock, std::min(deadline, now + kLookInterval));
  }
  return true;
}

Result<std::optional<Range>> RegionQueue::next() {
  std::unique_lock lock(mutex_);
  while (batch_.empty()) {
    VZV_TRY(error_);
    if (is_done_) return std::optional<Range>();
    Result<bool> came = wait_for_batch(lock);
    if (!came.ok()) return came.status();
  }
  const Range region = batch_.front();
  batch_.pop_front();
  return std::optional(region);
}

void RegionQueue::when_wanted(Wanted wanted) {
  bool is_wanted;
  {
    std::lock_guard lock(mutex_);
    const bool is_over = is_closed_ || is_done_ || !error_.ok();
    if (!is_over && !is_wanted_) {
      wanted_ = std::move(wanted);
      return;
    }
    is_wanted = !is_over;
  }
  wanted(is_wanted);
}

Status RegionQueue::offer(std::vector<Range> batch, bool is_done) {
  {
    std::lock_guard lock(mutex_);
    if (is_closed_) return {};
    if (!is_wanted_) return {Code::E_INTERNAL, "dirty regions of " + name_ + " came without being asked for"};
    if (batch.size() > limits::kRegionBatchMax) {
      error_ = Status(Code::E_SOURCE_BITMAP, "asking for the dirty regions of " + name_ + ": " +
                                                 std::to_string(batch.size()) + " came at once");
    } else {
      batch_.assign(batch.begin(), batch.end());
      is_done_ = is_done;
    }
    is_wanted_ = false;
  }
  changed_.notify_all();
  return {};
}

void RegionQueue::close() {
  Wanted wanted;
  {
    std::lock_guard lock(mutex_);
    is_closed_ = true;
    wanted = std::exchange(wanted_, nullptr);
  }
  if (wanted) wanted(false);
}

}  // namespace vzv
