// The first error of several threads that work on one thing. Thread-safe.
#pragma once

#include <atomic>
#include <mutex>
#include <utility>

#include "core/base/status.h"

namespace vzv {

class FirstError {
 public:
  // Keeps `status` unless it is a success or not the first.
  void set(Status status) {
    if (status.ok()) return;
    std::lock_guard lock(mutex_);
    if (failed_) return;
    status_ = std::move(status);
    failed_.store(true, std::memory_order_release);
  }

  bool failed() const { return failed_.load(std::memory_order_acquire); }

  // Success while nothing failed.
  Status status() const {
    if (!failed()) return {};
    std::lock_guard lock(mutex_);
    return status_;
  }

 private:
  mutable std::mutex mutex_;
  std::atomic<bool> failed_{false};
  Status status_;  // GUARDED BY mutex_
};

}  // namespace vzv
