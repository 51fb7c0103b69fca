// The middle of a backup: threads that take buffers full of chunks, find zeroes, hash, store, and list the ids in the
// map.
//
// Runs of chunks that are known to be zero go the same way, without bytes. Buffers are worked on in any order; their
// ids go into the map in the order of their numbers, by whichever thread finished the one that was due. At most
// kBackupWindow buffers are between submit() and the map, their bytes are let go as soon as they are stored.
//
// One thread submits and finishes. The first error stops the rest: what is queued is dropped.
#pragma once

#include <condition_variable>
#include <map>
#include <mutex>
#include <optional>
#include <vector>

#include "core/base/bounded_queue.h"
#include "core/base/cancel.h"
#include "core/base/threads.h"
#include "core/chunk/volume_geometry.h"
#include "core/pipeline/counters.h"
#include "core/pipeline/discard_tracker.h"
#include "core/pipeline/first_error.h"
#include "core/source/block_source.h"
#include "core/store/chunk_writer.h"
#include "core/store/map_writer.h"

namespace vzv {

struct ChunkBatch {
  std::uint64_t first_chunk = 0;
  std::uint64_t chunk_count = 0;
  ReadBuffer buffer;           // the chunks' bytes, one behind the other; null where all of them are zero
  std::uint64_t sequence = 0;  // 0, 1, 2, … in ascending order of first_chunk
};

class ChunkStage {
 public:
  // The map is built on `base`. What is stored is told to `discards`, unless that is null. REQUIRES: what is referred
  // to outlives this.
  ChunkStage(VolumeGeometry geometry, ChunkWriter& writer, std::optional<MapWriter::Base> base,
             DiscardTracker* discards, BackupCounters& counters, const CancelToken& cancel);
  // Stops and joins.
  ~ChunkStage();

  // Starts the threads. E_INTERNAL where the system has none left. Called once, first.
  Status start(unsigned workers);

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
  struct StoredChunk {
    Id id;  // zero where the chunk is
    Durability durability;
  };
  struct Done {
    std::uint64_t first_chunk;
    std::uint64_t chunk_count;
    std::vector<StoredChunk> chunks;  // none where all are known to be zero
  };

  void run();
  Status handle(ChunkBatch& batch);
  Result<std::vector<StoredChunk>> store(const ChunkBatch& batch);
  Result<StoredChunk> store_chunk(ByteSpan plain);
  Status enter_into_map(std::uint64_t sequence, Done done);
  Status list(const Done& done);
  void fail(Status status);
  void stop();

  const VolumeGeometry geometry_;
  ChunkWriter& writer_;
  const bool has_base_;
  DiscardTracker* const discards_;
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
  Threads threads_;
};

}  // namespace vzv
