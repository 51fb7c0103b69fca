// Dirty regions that somebody else brings, a batch at a time, when they are asked for.
//
// next() waits in one thread for what offer() brings in another. At most one batch is held. Thread-safe, except that
// next() is called by one thread at a time.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <vector>

#include "core/base/cancel.h"
#include "core/source/dirty_regions.h"

namespace vzv {

class RegionQueue final : public DirtyRegions {
 public:
  // `name` is what messages call the disk. The token must outlive the calls of next().
  RegionQueue(std::string name, int stall_timeout_ms, const CancelToken& cancel)
      : name_(std::move(name)), stall_timeout_ms_(stall_timeout_ms), cancel_(cancel) {}

  Result<std::optional<Range>> next() override;

  // Called once, from any thread and perhaps at once: with true when a batch is wanted, with false when none will be
  // any more. REQUIRES: none is waiting to be called
  using Wanted = std::function<void(bool is_wanted)>;
  void when_wanted(Wanted wanted);
  // The batch that was wanted; `is_done` with the last. One that is empty and not the last is asked for again. Too many
  // regions: next() answers E_SOURCE_BITMAP. E_INTERNAL where none is wanted.
  Status offer(std::vector<Range> batch, bool is_done);
  // Nothing is wanted any more. Repeatable.
  void close();

 private:
  Result<bool> wait_for_batch(std::unique_lock<std::mutex>& lock);

  const std::string name_;
  const int stall_timeout_ms_;
  const CancelToken& cancel_;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Range> batch_;  // GUARDED BY mutex_
  bool is_wanted_ = false;   // GUARDED BY mutex_; next() waits for a batch
  bool is_done_ = false;     // GUARDED BY mutex_; the last batch came
  bool is_closed_ = false;   // GUARDED BY mutex_
  Status error_;             // GUARDED BY mutex_
  Wanted wanted_;            // GUARDED BY mutex_; empty where nobody waits
};

}  // namespace vzv
