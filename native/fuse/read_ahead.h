// Decodes ahead of sequential readers, on threads of its own.
//
// A ReadStream follows the reads of one open file. Once a read goes on into the next chunk with data, the chunks with
// data that follow are brought into the ChunkReader's cache; a read that jumps starts over, so random reads fetch
// nothing that was not asked for. Holes do not break a stream: qemu-img, cp and tar jump over them.
//
// Nothing waits for read-ahead: a full queue drops, an error is left for the read that needs the chunk. What all
// streams fetch ahead together stays within the pool's budget, a part of the cache, so that they do not evict each
// other. Threads: any, for both classes. Volumes and pool outlive the streams; the pool stops before the volumes go.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>

#include "core/base/threads.h"
#include "fuse/volume_file.h"

namespace vzv::fuse {

class ReadAheadPool {
 public:
  // `threads` may be 0: no read-ahead. Where the system has fewer left, there are fewer. `budget_bytes` is shared by
  // all streams.
  ReadAheadPool(unsigned threads, std::uint64_t budget_bytes);
  ~ReadAheadPool();

  // False where the queue is full.
  bool request(Prefetched& source, std::uint64_t position);
  // Drops what waits and ends the threads; nothing is asked for after it. False where one did not end in time, because
  // it hangs in the storage: then the destructor would wait for it. Repeatable.
  bool stop(std::chrono::milliseconds within);
  std::uint64_t fetched() const { return fetched_.load(std::memory_order_relaxed); }

  // Streams that are sequential now, and how far ahead each of them may fetch.
  void stream_began() { streams_.fetch_add(1, std::memory_order_relaxed); }
  void stream_ended() { streams_.fetch_sub(1, std::memory_order_relaxed); }
  std::uint64_t window_bytes() const;

 private:
  struct Request {
    Prefetched* source;
    std::uint64_t position;
  };
  void run();

  const std::uint64_t budget_bytes_;
  std::atomic<std::uint64_t> streams_{0};
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Request> queue_;  // guarded by mutex_
  bool stopping_ = false;      // guarded by mutex_
  std::size_t running_ = 0;    // guarded by mutex_; threads
  std::condition_variable ended_;
  std::atomic<std::uint64_t> fetched_{0};
  Threads threads_;
};

// Whether a stream is sequential now, as the pool counts it. Its owner's lock guards it.
class Streaming {
 public:
  explicit Streaming(ReadAheadPool& pool) : pool_(pool) {}
  ~Streaming() { set(false); }
  Streaming(const Streaming&) = delete;
  Streaming& operator=(const Streaming&) = delete;

  void set(bool streaming);
  explicit operator bool() const { return streaming_; }

 private:
  ReadAheadPool& pool_;
  bool streaming_ = false;
};

class ReadStream {
 public:
  ReadStream(VolumeFile& volume, ReadAheadPool& pool) : volume_(volume), pool_(pool), streaming_(pool) {}
  ReadStream(const ReadStream&) = delete;
  ReadStream& operator=(const ReadStream&) = delete;

  // Tells of a read of [offset, offset + length). REQUIRES: length > 0, the range lies within the volume.
  void note(std::uint64_t offset, std::uint64_t length);

 private:
  enum class Step { kForward, kWithin, kJump };
  Step classify(std::uint64_t first, std::uint64_t last);
  void request_ahead();

  VolumeFile& volume_;
  ReadAheadPool& pool_;
  std::mutex mutex_;
  // All guarded by mutex_; chunk numbers.
  bool begun_ = false;
  Streaming streaming_;
  std::uint64_t front_ = 0;          // the highest chunk that the stream has reached
  std::uint64_t requested_ = 0;      // chunks with data from front_ + 1 up to here were asked for
  std::deque<std::uint64_t> ahead_;  // those, ascending
};

}  // namespace vzv::fuse
