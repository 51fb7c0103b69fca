#include "core/pipeline/chunk_stage.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "core/base/guarded.h"
#include "core/base/limits.h"
#include "core/chunk/zero.h"

namespace vzv {

ChunkStage::ChunkStage(VolumeGeometry geometry, ChunkWriter& writer, std::optional<MapWriter::Base> base,
                       DiscardTracker* discards, BackupCounters& counters, const CancelToken& cancel)
    : geometry_(geometry),
      writer_(writer),
      has_base_(base.has_value()),
      discards_(discards),
      counters_(counters),
      cancel_(cancel),
      queue_(limits::kBackupWindow),
      map_(geometry, writer, base) {}

Status ChunkStage::start(unsigned workers) {
  return threads_.start(workers, [this] { run(); });
}

ChunkStage::~ChunkStage() {
  fail(Status(Code::E_CANCELLED, "the backup was given up"));
  stop();
}

void ChunkStage::stop() {
  queue_.close();
  threads_.join();
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
    if (Status status = guarded([&] { return handle(*batch); }); !status.ok()) fail(std::move(status));
  }
}

Status ChunkStage::handle(ChunkBatch& batch) {
  Done done{batch.first_chunk, batch.chunk_count, {}};
  if (batch.buffer != nullptr) {
    Result<std::vector<StoredChunk>> chunks = store(batch);
    if (!chunks.ok()) return chunks.status();
    done.chunks = std::move(*chunks);
    batch.buffer.reset();
  }
  return enter_into_map(batch.sequence, std::move(done));
}

Result<std::vector<ChunkStage::StoredChunk>> ChunkStage::store(const ChunkBatch& batch) {
  std::vector<StoredChunk> chunks;
  chunks.reserve(batch.chunk_count);
  const std::uint8_t* bytes = batch.buffer.get();
  for (std::uint64_t i = 0; i < batch.chunk_count; ++i) {
    VZV_TRY(cancel_.status());
    VZV_TRY(error_.status());
    const std::uint32_t length = geometry_.chunk_length(batch.first_chunk + i);
    Result<StoredChunk> chunk = store_chunk({bytes, length});
    if (!chunk.ok()) return chunk.status();
    chunks.push_back(std::move(*chunk));
    bytes += length;
  }
  return chunks;
}

Result<ChunkStage::StoredChunk> ChunkStage::store_chunk(ByteSpan plain) {
  if (is_zero(plain)) {
    counters_.zero_bytes += plain.size();
    return StoredChunk{};
  }
  const Id id = chunk_id(writer_.keys(), plain);
  Result<PutResult> put = writer_.put(ChunkType::kData, id, plain);
  if (!put.ok()) return put.status();
  (put->put == Put::kStored ? counters_.new_bytes : counters_.reused_bytes) += plain.size();
  counters_.written_bytes += put->stored_bytes;
  return StoredChunk{id, std::move(put->durability)};
}

Status ChunkStage::enter_into_map(std::uint64_t sequence, Done stored) {
  std::unique_lock lock(mutex_);
  ++events_;
  event_.notify_all();
  done_.emplace(sequence, std::move(stored));
  if (map_taken_) return {};  // that thread looks again before it leaves
  map_taken_ = true;
  for (auto next = done_.find(due_); next != done_.end(); next = done_.find(due_)) {
    const Done done = std::move(next->second);
    done_.erase(next);
    lock.unlock();
    VZV_TRY(list(done));
    lock.lock();
    ++due_;
    ++events_;
    event_.notify_all();
  }
  map_taken_ = false;
  return {};
}

Status ChunkStage::list(const Done& done) {
  if (done.chunks.empty()) {
    VZV_TRY(map_.set_zero(done.first_chunk, done.chunk_count));
    if (discards_ == nullptr) return {};
    const std::uint64_t offset = geometry_.chunk_offset(done.first_chunk);
    const std::uint64_t end = geometry_.chunk_offset(done.first_chunk + done.chunk_count);
    discards_->add({offset, std::min(end, geometry_.size_bytes) - offset}, Durability());
    return {};
  }
  for (std::size_t i = 0; i < done.chunks.size(); ++i) {
    const std::uint64_t chunk = done.first_chunk + i;
    const StoredChunk& stored = done.chunks[i];
    // Without a base a number that is not set is zero.
    if (has_base_ || !stored.id.is_zero()) VZV_TRY(map_.set(chunk, stored.id));
    if (discards_ == nullptr) continue;
    discards_->add({geometry_.chunk_offset(chunk), geometry_.chunk_length(chunk)}, stored.durability);
  }
  return {};
}

}  // namespace vzv
