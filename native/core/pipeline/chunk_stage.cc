#include "core/pipeline/chunk_stage.h"

#include <chrono>
#include <utility>

#include "core/base/limits.h"
#include "core/base/sha256.h"
#include "core/chunk/zero.h"

namespace vzv {

ChunkStage::ChunkStage(VolumeGeometry geometry, ChunkWriter& writer, unsigned workers, BackupCounters& counters,
                       const CancelToken& cancel)
    : geometry_(geometry),
      writer_(writer),
      counters_(counters),
      cancel_(cancel),
      queue_(limits::kBackupWindow),
      map_(geometry, writer) {
  for (unsigned i = 0; i < workers; ++i) threads_.emplace_back([this] { run(); });
}

ChunkStage::~ChunkStage() {
  fail(Status(Code::E_CANCELLED, "the backup was given up"));
  stop();
}

void ChunkStage::stop() {
  queue_.close();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

void ChunkStage::fail(Status status) {
  error_.set(std::move(status));
  queue_.clear();
  {
    std::lock_guard lock(mutex_);
    ++events_;
  }
  event_.notify_all();
}

bool ChunkStage::has_room_for(std::uint64_t sequence) const {
  std::lock_guard lock(mutex_);
  return sequence < due_ + limits::kBackupWindow;
}

void ChunkStage::submit(ChunkBatch batch) {
  // Never waits: the window is as long as the queue.
  queue_.push(std::move(batch));
}

std::uint64_t ChunkStage::events() const {
  std::lock_guard lock(mutex_);
  return events_;
}

void ChunkStage::wait_for_event(std::uint64_t seen, int timeout_ms) {
  std::unique_lock lock(mutex_);
  event_.wait_for(lock, std::chrono::milliseconds(timeout_ms), [&] { return events_ != seen; });
}

Result<Id> ChunkStage::finish() {
  stop();
  VZV_TRY(error_.status());
  VZV_TRY(cancel_.status());
  return map_.finish();
}

void ChunkStage::run() {
  while (std::optional<ChunkBatch> batch = queue_.pop()) {
    if (error_.failed()) continue;
    Result<std::vector<Id>> ids = store(*batch);
    batch->buffer.reset();
    if (ids.ok()) {
      enter_into_map(*batch, std::move(*ids));
    } else {
      fail(ids.status());
    }
  }
}

Result<std::vector<Id>> ChunkStage::store(const ChunkBatch& batch) {
  std::vector<Id> ids;
  ids.reserve(batch.chunk_count);
  const std::uint8_t* bytes = batch.buffer.get();
  for (std::uint32_t i = 0; i < batch.chunk_count; ++i) {
    VZV_TRY(cancel_.status());
    VZV_TRY(error_.status());
    const std::uint32_t length = geometry_.chunk_length(batch.first_chunk + i);
    Result<Id> id = store_chunk({bytes, length});
    if (!id.ok()) return id.status();
    ids.push_back(*id);
    bytes += length;
  }
  return ids;
}

Result<Id> ChunkStage::store_chunk(ByteSpan plain) {
  if (is_zero(plain)) {
    counters_.zero_bytes += plain.size();
    return Id{};
  }
  const Id id = sha256(plain);
  Result<Put> put = writer_.put(ChunkType::kData, id, plain);
  if (!put.ok()) return put.status();
  (*put == Put::kStored ? counters_.new_bytes : counters_.reused_bytes) += plain.size();
  return id;
}

void ChunkStage::enter_into_map(const ChunkBatch& batch, std::vector<Id> ids) {
  std::unique_lock lock(mutex_);
  ++events_;
  event_.notify_all();
  done_.emplace(batch.sequence, Done{batch.first_chunk, std::move(ids)});
  if (map_taken_) return;  // that thread looks again before it leaves
  map_taken_ = true;
  for (auto next = done_.find(due_); next != done_.end(); next = done_.find(due_)) {
    const Done done = std::move(next->second);
    done_.erase(next);
    lock.unlock();
    for (std::size_t i = 0; i < done.ids.size(); ++i) {
      // A number that is not set is zero.
      if (done.ids[i].is_zero()) continue;
      if (Status set = map_.set(done.first_chunk + i, done.ids[i]); !set.ok()) return fail(std::move(set));
    }
    lock.lock();
    ++due_;
    ++events_;
    event_.notify_all();
  }
  map_taken_ = false;
}

}  // namespace vzv
