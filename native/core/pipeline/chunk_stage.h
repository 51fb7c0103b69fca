// The middle of a backup: threads that take buffers full of chunks, find zeroes, hash, store, and list the ids in the
// map.
//
// Buffers are worked on in any order; their ids go into the map in the order of their numbers, by whichever thread
// finished the one that was due. At most kBackupWindow buffers are between submit() and the map, their bytes are let go
// as soon as they are stored.
//
// One thread submits and finishes. The first error stops the rest: what is queued is dropped.
#pragma once

#include <condition_variable>
#include <map>
#include <mutex>
#include <thread>
#include <vector>

#include "core/base/bounded_queue.h"
#include "core/base/cancel.h"
#include "core/chunk/volume_geometry.h"
#include "core/pipeline/counters.h"
#include "core/pipeline/first_error.h"
#include "core/source/block_source.h"
#include "core/store/chunk_writer.h"
#include "core/store/map_writer.h"

namespace vzv {

struct ChunkBatch {
  std::uint64_t first_chunk = 0;
  std::uint32_t chunk_count = 0;
  ReadBuffer buffer;           // the chunks' bytes, one behind the other
  std::uint64_t sequence = 0;  // 0, 1, 2, … in ascending order of first_chunk
};

class ChunkStage {
 public:
  // REQUIRES: what is referred to outlives this.
  ChunkStage(VolumeGeometry geometry, ChunkWriter& writer, unsigned workers, BackupCounters& counters,
             const CancelToken& cancel);
  // Stops and joins.
  ~ChunkStage();

  // Whether a buffer of this sequence number may be begun now.
  bool has_room_for(std::uint64_t sequence) const;
  // May come in another order than that of the sequence numbers, each once. REQUIRES: has_room_for(batch.sequence)
  void submit(ChunkBatch batch);
  // The error that stopped the stage, success while there is none.
  Status status() const { return error_.status(); }

  // Grows whenever a batch was stored or entered the map, or something failed.
  std::uint64_t events() const;
  // Waits until events() is above `seen`, at most timeout_ms.
  void wait_for_event(std::uint64_t seen, int timeout_ms);

  // Waits for everything submitted. The map's root. REQUIRES: all sequence numbers were submitted; called once.
  Result<Id> finish();

 private:
  void run();
  Result<std::vector<Id>> store(const ChunkBatch& batch);
  Result<Id> store_chunk(ByteSpan plain);
  void enter_into_map(const ChunkBatch& batch, std::vector<Id> ids);
  void fail(Status status);
  void stop();

  struct Done {
    std::uint64_t first_chunk;
    std::vector<Id> ids;
  };

  const VolumeGeometry geometry_;
  ChunkWriter& writer_;
  BackupCounters& counters_;
  const CancelToken& cancel_;
  FirstError error_;
  BoundedQueue<ChunkBatch> queue_;

  mutable std::mutex mutex_;
  std::condition_variable event_;
  std::uint64_t events_ = 0;            // GUARDED BY mutex_
  std::uint64_t due_ = 0;               // GUARDED BY mutex_; the sequence number that the map waits for
  std::map<std::uint64_t, Done> done_;  // GUARDED BY mutex_; stored, not in the map yet
  bool map_taken_ = false;              // GUARDED BY mutex_; a thread is writing to the map
  MapWriter map_;                       // used by the thread that set map_taken_
  std::vector<std::thread> threads_;
};

}  // namespace vzv
