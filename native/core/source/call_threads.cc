#include "core/source/call_threads.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <utility>

#include "core/base/threads.h"

namespace vzv {

namespace {

// How long the end waits for calls under way. More only where the kernel hangs.
constexpr std::chrono::milliseconds kLeaveTimeout(1'000);
// How often to look where the kernel had no descriptor left to wait for.
constexpr int kLookIntervalMs = 10;

}  // namespace

CallThreads::Channel::Channel() : event_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

void CallThreads::Channel::signal() {
  const std::uint64_t one = 1;
  // Fails only where the counter is full, and then the descriptor is readable already.
  [[maybe_unused]] const auto written = ::write(event_.get(), &one, sizeof one);
}

void CallThreads::Channel::finish(Finished finished) {
  {
    std::lock_guard lock(mutex_);
    finished_.push_back(std::move(finished));
  }
  signal();
}

void CallThreads::Channel::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [&] { return stopped_ || !calls_.empty(); });
    if (stopped_) break;
    Call call = std::move(calls_.front());
    calls_.pop_front();
    lock.unlock();
    call();
    call = nullptr;  // what it holds is dropped outside the lock
    lock.lock();
  }
  if (--threads_ == 0) left_.notify_all();
}

Status CallThreads::start(unsigned count) {
  for (unsigned i = 0; i < count; ++i) {
    // Counted by whoever starts it, so that the end cannot miss one that has not begun.
    std::lock_guard lock(channel_->mutex_);
    Result<std::thread> thread = start_thread([channel = channel_] { channel->run(); });
    if (!thread.ok()) return thread.status();
    thread->detach();
    ++channel_->threads_;
  }
  return {};
}

CallThreads::~CallThreads() {
  std::deque<Call> dropped;
  std::deque<Finished> unclaimed;
  std::unique_lock lock(channel_->mutex_);
  channel_->stopped_ = true;
  dropped.swap(channel_->calls_);
  channel_->wake_.notify_all();
  channel_->left_.wait_for(lock, kLeaveTimeout, [&] { return channel_->threads_ == 0; });
  unclaimed.swap(channel_->finished_);
}

void CallThreads::post(Call call) {
  {
    std::lock_guard lock(channel_->mutex_);
    channel_->calls_.push_back(std::move(call));
  }
  channel_->wake_.notify_one();
}

std::deque<CallThreads::Finished> CallThreads::take_finished() {
  std::lock_guard lock(channel_->mutex_);
  return std::exchange(channel_->finished_, {});
}

Result<bool> CallThreads::wait(int timeout_ms, const CancelToken& cancel) {
  if (cancel.cancelled()) return cancel.status();
  pollfd fds[2] = {{channel_->event_.get(), POLLIN, 0}, {cancel.poll_fd(), POLLIN, 0}};
  if (fds[0].fd < 0 || fds[1].fd < 0) timeout_ms = std::min(timeout_ms, kLookIntervalMs);
  const int ready = ::poll(fds, 2, std::max(timeout_ms, 0));
  if (cancel.cancelled()) return cancel.status();
  if (ready <= 0) return false;
  std::uint64_t count;
  return ::read(channel_->event_.get(), &count, sizeof count) > 0;
}

}  // namespace vzv
