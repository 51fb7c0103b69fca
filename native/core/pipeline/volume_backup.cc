#include "core/pipeline/volume_backup.h"

#include <poll.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <memory>
#include <string>
#include <utility>

#include "core/base/limits.h"
#include "core/pipeline/buffer_pool.h"
#include "core/pipeline/chunk_stage.h"
#include "core/pipeline/rate_limiter.h"
#include "core/pipeline/read_planner.h"
#include "core/pipeline/workers.h"

namespace vzv {

namespace {

using Clock = std::chrono::steady_clock;

// An error of another thread is noticed this late at most while the source is waited for.
constexpr int kLookIntervalMs = 100;
// The same for a buffer that comes back meanwhile: waiting longer would leave the source idle.
constexpr int kBufferIntervalMs = 10;

int ceil_ms(Clock::duration duration) {
  const auto ms = std::chrono::ceil<std::chrono::milliseconds>(duration).count();
  return static_cast<int>(std::clamp<std::int64_t>(ms, 0, kLookIntervalMs));
}

class VolumeBackup {
 public:
  VolumeBackup(BlockSource& source, ChunkWriter& writer, VolumeGeometry geometry, const VolumeBackupOptions& options,
               BackupCounters& counters, const CancelToken& cancel)
      : source_(source),
        geometry_(geometry),
        options_(options),
        counters_(counters),
        cancel_(cancel),
        limiter_(options.bandwidth_limit_bytes_per_second, Clock::now()),
        pool_(limits::kBackupBuffersBytes / read_bytes(geometry), read_bytes(geometry)),
        planner_(source, geometry, read_bytes(geometry)),
        stage_(geometry, writer, default_workers(), counters, cancel) {}

  Result<Id> run();

 private:
  // A buffer that is being filled. It goes on to the stage when its last read has finished.
  struct Filling {
    ChunkBatch batch;
    unsigned pieces = 1;  // reads in flight, and one for as long as more may come
  };

  static std::uint32_t read_bytes(const VolumeGeometry& geometry) {
    return std::max(geometry.chunk_size_bytes, limits::kBackupReadBytes);
  }

  // The first error of anybody.
  Status check() const;
  // Waits for reads to finish, and completes them. REQUIRES: reads are in flight
  Status turn(int timeout_ms);
  Result<ReadBuffer> take_buffer();
  Status fill(const ReadPlan& plan);
  Status read_piece(const std::shared_ptr<Filling>& filling, Extent piece);
  Status wait_for_bandwidth(std::uint64_t bytes);
  void finish_piece(const std::shared_ptr<Filling>& filling);

  BlockSource& source_;
  const VolumeGeometry geometry_;
  const VolumeBackupOptions& options_;
  BackupCounters& counters_;
  const CancelToken& cancel_;
  RateLimiter limiter_;
  BufferPool pool_;
  ReadPlanner planner_;
  Status read_error_;
  unsigned in_flight_ = 0;
  Clock::duration silent_{};  // how long the source has been waited for in vain
  std::uint64_t next_sequence_ = 0;
  ChunkStage stage_;
};

Status VolumeBackup::check() const {
  VZV_TRY(cancel_.status());
  VZV_TRY(read_error_);
  return stage_.status();
}

Status VolumeBackup::turn(int timeout_ms) {
  VZV_TRY(check());
  const auto begun = Clock::now();
  Result<bool> completed = source_.poll(timeout_ms);
  if (!completed.ok()) return completed.status();
  silent_ = *completed ? Clock::duration::zero() : silent_ + (Clock::now() - begun);
  if (silent_ >= std::chrono::milliseconds(options_.stall_timeout_ms)) {
    return Status(Code::E_SOURCE_STALLED,
                  "reading " + source_.name() + ": no answer for " + std::to_string(options_.stall_timeout_ms) + " ms");
  }
  return check();
}

Result<ReadBuffer> VolumeBackup::take_buffer() {
  while (true) {
    // Counted before looking, so that what happens in between is not waited for.
    const std::uint64_t seen = stage_.events();
    if (stage_.has_room_for(next_sequence_)) {
      if (ReadBuffer buffer = pool_.take()) return buffer;
    }
    if (in_flight_ > 0) {
      VZV_TRY(turn(kBufferIntervalMs));
    } else {
      VZV_TRY(check());
      stage_.wait_for_event(seen, kLookIntervalMs);
    }
  }
}

void VolumeBackup::finish_piece(const std::shared_ptr<Filling>& filling) {
  if (--filling->pieces == 0) stage_.submit(std::move(filling->batch));
}

Status VolumeBackup::wait_for_bandwidth(std::uint64_t bytes) {
  while (true) {
    const Clock::duration wait = limiter_.take(bytes, Clock::now());
    if (wait == Clock::duration::zero()) return {};
    if (in_flight_ > 0) {
      VZV_TRY(turn(ceil_ms(wait)));
    } else {
      VZV_TRY(check());
      pollfd cancelled = {cancel_.poll_fd(), POLLIN, 0};
      ::poll(&cancelled, 1, ceil_ms(wait));
    }
  }
}

Status VolumeBackup::read_piece(const std::shared_ptr<Filling>& filling, Extent piece) {
  const ReadBuffer& buffer = filling->batch.buffer;
  std::uint8_t* const into = buffer.get() + (piece.offset - geometry_.chunk_offset(filling->batch.first_chunk));
  if (piece.zero) {
    std::memset(into, 0, piece.length);
    counters_.processed_bytes += piece.length;
    return {};
  }
  for (std::uint64_t at = 0; at < piece.length;) {
    const std::uint64_t length = std::min(piece.length - at, limiter_.step_max_bytes());
    VZV_TRY(wait_for_bandwidth(length));
    while (in_flight_ >= source_.max_in_flight()) VZV_TRY(turn(kLookIntervalMs));
    ++filling->pieces;
    if (in_flight_++ == 0) silent_ = Clock::duration::zero();
    const auto done = [this, filling, length](Status status) {
      --in_flight_;
      if (!status.ok()) {
        if (read_error_.ok()) read_error_ = std::move(status);
        return;
      }
      counters_.read_bytes += length;
      counters_.processed_bytes += length;
      finish_piece(filling);
    };
    VZV_TRY(source_.submit_read(piece.offset + at, length, ReadBuffer(buffer, into + at), done));
    at += length;
  }
  return {};
}

Status VolumeBackup::fill(const ReadPlan& plan) {
  Result<ReadBuffer> buffer = take_buffer();
  if (!buffer.ok()) return buffer.status();
  auto filling =
      std::make_shared<Filling>(Filling{{plan.first_chunk, plan.chunk_count, std::move(*buffer), next_sequence_++}});
  for (const Extent& piece : plan.pieces) VZV_TRY(read_piece(filling, piece));
  finish_piece(filling);
  return {};
}

Result<Id> VolumeBackup::run() {
  std::uint64_t passed_over = 0;
  while (true) {
    VZV_TRY(check());
    Result<std::optional<ReadPlan>> plan = planner_.next();
    if (!plan.ok()) return plan.status();
    counters_.processed_bytes += planner_.passed_over_bytes() - passed_over;
    counters_.zero_bytes += planner_.passed_over_bytes() - passed_over;
    passed_over = planner_.passed_over_bytes();
    if (!*plan) break;
    if ((*plan)->chunk_count > 0) VZV_TRY(fill(**plan));
  }
  while (in_flight_ > 0) VZV_TRY(turn(kLookIntervalMs));
  VZV_TRY(check());
  return stage_.finish();
}

}  // namespace

Result<VolumeBackupResult> backup_volume(BlockSource& source, ChunkWriter& writer, const VolumeBackupOptions& options,
                                         BackupCounters& counters, const CancelToken& cancel) {
  Result<VolumeGeometry> geometry = VolumeGeometry::make(source.size_bytes(), options.chunk_size_bytes);
  if (!geometry.ok()) return geometry.status();
  counters.size_bytes = geometry->size_bytes;
  VolumeBackup backup(source, writer, *geometry, options, counters, cancel);
  Result<Id> root = backup.run();
  if (!root.ok()) return root.status();
  return VolumeBackupResult{*geometry, *root};
}

}  // namespace vzv
