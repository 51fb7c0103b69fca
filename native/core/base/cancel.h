// A flag that stops long work, with an eventfd beside it so that a thread that waits in poll(2) wakes at once.
//
// Thread-safe. Cancelling is final. The token outlives everything that it was handed to (share it by std::shared_ptr
// where that is not plain).
#pragma once

#include <atomic>

#include "core/base/file.h"

namespace vzv {

class CancelToken {
 public:
  CancelToken();

  bool cancelled() const { return cancelled_.load(std::memory_order_acquire); }
  void cancel();
  // Readable once cancelled; never read from it. -1 where the kernel had no descriptor left: poll with a timeout then.
  int poll_fd() const { return event_.get(); }
  // E_CANCELLED once cancelled, success before.
  Status status() const;

 private:
  std::atomic<bool> cancelled_{false};
  UniqueFd event_;
};

}  // namespace vzv
