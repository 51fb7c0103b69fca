#include "fuse/read_ahead.h"

#include <algorithm>

#include "core/base/limits.h"

namespace vzv::fuse {

ReadAheadPool::ReadAheadPool(unsigned threads, std::uint64_t budget_bytes) : budget_bytes_(budget_bytes) {
  // None of them gets further before all are counted.
  const std::lock_guard lock(mutex_);
  static_cast<void>(threads_.start(threads, [this] { run(); }).ok());
  running_ = threads_.size();
}

ReadAheadPool::~ReadAheadPool() {
  stop(std::chrono::milliseconds(0));
  threads_.join();
}

std::uint64_t ReadAheadPool::window_bytes() const {
  const std::uint64_t streams = std::max<std::uint64_t>(streams_.load(std::memory_order_relaxed), 1);
  return std::min(limits::kMountReadAheadBytes, budget_bytes_ / streams);
}

bool ReadAheadPool::request(Prefetched& source, std::uint64_t position) {
  {
    const std::lock_guard lock(mutex_);
    if (stopping_ || running_ == 0 || queue_.size() >= limits::kMountReadAheadQueue) return false;
    queue_.push_back({&source, position});
  }
  wake_.notify_one();
  return true;
}

bool ReadAheadPool::stop(std::chrono::milliseconds within) {
  std::unique_lock lock(mutex_);
  stopping_ = true;
  queue_.clear();
  wake_.notify_all();
  return ended_.wait_for(lock, within, [this] { return running_ == 0; });
}

void ReadAheadPool::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
    if (stopping_) break;
    const Request request = queue_.front();
    queue_.pop_front();
    lock.unlock();
    // Whoever reads it fetches it then.
    static_cast<void>(guarded([&]() -> Status {
                        request.source->prefetch(request.position);
                        return {};
                      }).ok());
    fetched_.fetch_add(1, std::memory_order_relaxed);
    lock.lock();
  }
  --running_;
  ended_.notify_all();
}

void Streaming::set(bool streaming) {
  if (streaming_ == streaming) return;
  streaming_ = streaming;
  if (streaming) {
    pool_.stream_began();
  } else {
    pool_.stream_ended();
  }
}

void ReadStream::note(std::uint64_t offset, std::uint64_t length) {
  const std::uint64_t chunk_size_bytes = volume_.geometry().chunk_size_bytes;
  const std::uint64_t first = offset / chunk_size_bytes;
  const std::uint64_t last = (offset + length - 1) / chunk_size_bytes;
  const std::lock_guard lock(mutex_);
  switch (classify(first, last)) {
    case Step::kForward:
      front_ = last;
      while (!ahead_.empty() && ahead_.front() <= front_) ahead_.pop_front();
      requested_ = std::max(requested_, front_ + 1);
      streaming_.set(true);
      break;
    case Step::kWithin:
      break;
    case Step::kJump:
      begun_ = true;
      front_ = last;
      requested_ = last + 1;
      ahead_.clear();
      streaming_.set(false);
      break;
  }
  if (streaming_) request_ahead();
}

ReadStream::Step ReadStream::classify(std::uint64_t first, std::uint64_t last) {
  if (!begun_) return Step::kJump;
  if (last <= front_) {
    // The kernel sends the pieces of one read-ahead side by side, and programs keep several reads in flight: what
    // lies shortly behind the front belongs to the stream too.
    const std::uint64_t window_chunks = limits::kMountReadAheadBytes / volume_.geometry().chunk_size_bytes;
    return front_ - last <= window_chunks ? Step::kWithin : Step::kJump;
  }
  if (first <= front_ + 1) return Step::kForward;
  if (!ahead_.empty()) return first <= ahead_.front() ? Step::kForward : Step::kJump;
  const Result<std::uint64_t> next = volume_.next_data_chunk(front_ + 1);
  return next.ok() && first <= *next ? Step::kForward : Step::kJump;
}

void ReadStream::request_ahead() {
  const std::uint64_t chunk_count = volume_.geometry().chunk_count();
  const std::uint64_t window_chunks = pool_.window_bytes() / volume_.geometry().chunk_size_bytes;
  while (ahead_.size() < window_chunks && requested_ < chunk_count) {
    const Result<std::uint64_t> next = volume_.next_data_chunk(requested_);
    if (!next.ok()) return;
    if (*next < chunk_count && !pool_.request(volume_, *next)) return;
    if (*next < chunk_count) ahead_.push_back(*next);
    requested_ = *next + 1;
  }
}

}  // namespace vzv::fuse
