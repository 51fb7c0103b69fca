// The middle of an archive's backup: threads that take the pieces of its data, find zeroes, hash and store, and list
// them in the stream's map in their order.
//
// kArchiveBuffersBytes bound what waits to be stored, kArchiveWindow how many pieces wait for the map. One thread
// submits and finishes. The first error stops the rest.
#pragma once

#include <condition_variable>
#include <map>
#include <mutex>
#include <vector>

#include "core/archive/stream_map.h"
#include "core/base/bounded_queue.h"
#include "core/base/cancel.h"
#include "core/base/threads.h"
#include "core/pipeline/counters.h"
#include "core/pipeline/first_error.h"
#include "core/store/chunk_writer.h"

namespace vzv {

class ArchiveStage {
 public:
  // REQUIRES: what is referred to outlives this.
  ArchiveStage(ChunkWriter& writer, ArchiveCounters& counters, const CancelToken& cancel);
  // Stops and joins.
  ~ArchiveStage();

  // Starts the threads. E_INTERNAL where the system has none left. Called once, first.
  Status start(unsigned workers);
  // The next piece. Waits while too many are under way; the error that stopped the stage. REQUIRES: not empty
  Status submit(Bytes piece);
  // Waits for everything submitted. Called once, last.
  Result<StreamMap> finish();

 private:
  struct Piece {
    std::uint64_t sequence = 0;
    Bytes bytes;
  };
  struct Stored {
    Id id;
    std::uint32_t length = 0;
  };

  void run();
  Status handle(Piece& piece);
  Result<Id> store(ByteSpan plain);
  bool has_room();  // REQUIRES: mutex_ held
  void let_go(Bytes& bytes);
  Status list(std::uint64_t sequence, const Stored& stored);
  void fail(Status status);
  void stop();

  ChunkWriter& writer_;
  ArchiveCounters& counters_;
  const CancelToken& cancel_;
  FirstError error_;
  BoundedQueue<Piece> queue_;
  std::uint64_t submitted_ = 0;

  std::mutex mutex_;
  std::condition_variable listed_;
  std::uint64_t waiting_bytes_ = 0;       // GUARDED BY mutex_; of pieces that are not stored yet
  std::uint64_t due_ = 0;                 // GUARDED BY mutex_; the piece that the map waits for
  std::map<std::uint64_t, Stored> done_;  // GUARDED BY mutex_; stored, not in the map yet
  StreamWriter stream_;                   // GUARDED BY mutex_
  Threads threads_;
};

}  // namespace vzv
