#include "core/pipeline/volume_backup.h"

#include <poll.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <limits>
#include <memory>
#include <string>
#include <utility>

#include "core/base/guarded.h"
#include "core/base/limits.h"
#include "core/pipeline/buffer_pool.h"
#include "core/pipeline/chunk_stage.h"
#include "core/pipeline/discarder.h"
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
        pool_(limits::kBackupBuffersBytes / read_bytes(geometry), read_bytes(geometry)),
        planner_(source, geometry, read_bytes(geometry), options.incremental ? &options.incremental->dirty : nullptr),
        discarder_(source, options.discard, counters),
        stage_(geometry, writer, base_of(options), discarder_.tracker(), counters, cancel) {}

  Result<VolumeBackupResult> run();

 private:
  // A buffer that is being filled. It goes on to the stage when its last read has finished.
  struct Filling {
    ChunkBatch batch;
    unsigned pieces = 1;  // reads in flight, and one for as long as more may come
  };

  static std::uint32_t read_bytes(const VolumeGeometry& geometry) {
    return std::max(geometry.chunk_size_bytes, limits::kBackupReadBytes);
  }

  static std::optional<MapWriter::Base> base_of(const VolumeBackupOptions& options) {
    if (!options.incremental) return std::nullopt;
    return MapWriter::Base{options.incremental->root, options.incremental->reader};
  }

  // The first error of anybody.
  Status check() const;
  // Waits for reads to finish, and completes them. REQUIRES: reads are in flight
  Status turn(int timeout_ms);
  // Lets the source and the stage go on until `attempt` answers true.
  template <typename Attempt>
  Status wait_until(Attempt attempt);
  Status wait_for_room();
  // What the planner left out.
  void count_unchanged();
  Status pass_over(const ReadPlan& plan);
  Status fill(const ReadPlan& plan);
  Status read_all();
  // Waits for the last discards. They fail nothing: only cancelling is an error.
  Status finish_discards();
  Status read_piece(const std::shared_ptr<Filling>& filling, Extent piece);
  std::uint64_t step_max_bytes() const;
  Status wait_for_bandwidth(std::uint64_t bytes);
  void finish_piece(const std::shared_ptr<Filling>& filling);

  BlockSource& source_;
  const VolumeGeometry geometry_;
  const VolumeBackupOptions& options_;
  BackupCounters& counters_;
  const CancelToken& cancel_;
  BufferPool pool_;
  ReadPlanner planner_;
  Status read_error_;
  unsigned in_flight_ = 0;
  Clock::duration silent_{};  // how long the source has been waited for in vain
  std::uint64_t next_sequence_ = 0;
  Discarder discarder_;
  ChunkStage stage_;
};

Status VolumeBackup::check() const {
  VZV_TRY(cancel_.status());
  VZV_TRY(read_error_);
  return stage_.status();
}

Status VolumeBackup::turn(int timeout_ms) {
  VZV_TRY(check());
  discarder_.submit();
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

template <typename Attempt>
Status VolumeBackup::wait_until(Attempt attempt) {
  while (true) {
    // Counted before looking, so that what happens in between is not waited for.
    const std::uint64_t seen = stage_.events();
    if (attempt()) return {};
    if (in_flight_ > 0) {
      VZV_TRY(turn(kBufferIntervalMs));
    } else {
      VZV_TRY(check());
      stage_.wait_for_event(seen, kLookIntervalMs);
    }
  }
}

Status VolumeBackup::wait_for_room() {
  return wait_until([this] { return stage_.has_room_for(next_sequence_); });
}

void VolumeBackup::finish_piece(const std::shared_ptr<Filling>& filling) {
  if (--filling->pieces == 0) stage_.submit(std::move(filling->batch));
}

std::uint64_t VolumeBackup::step_max_bytes() const {
  return options_.limiter != nullptr ? options_.limiter->step_max_bytes() : std::numeric_limits<std::uint64_t>::max();
}

Status VolumeBackup::wait_for_bandwidth(std::uint64_t bytes) {
  while (options_.limiter != nullptr) {
    const Clock::duration wait = options_.limiter->take(bytes, Clock::now());
    if (wait == Clock::duration::zero()) return {};
    if (in_flight_ > 0) {
      VZV_TRY(turn(ceil_ms(wait)));
    } else {
      VZV_TRY(check());
      pollfd cancelled = {cancel_.poll_fd(), POLLIN, 0};
      ::poll(&cancelled, 1, ceil_ms(wait));
    }
  }
  return {};
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
    const std::uint64_t length = std::min(piece.length - at, step_max_bytes());
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
  VZV_TRY(wait_for_room());
  ReadBuffer buffer;
  VZV_TRY(wait_until([&] { return (buffer = pool_.take()) != nullptr; }));
  auto filling =
      std::make_shared<Filling>(Filling{{plan.first_chunk, plan.chunk_count, std::move(buffer), next_sequence_++}});
  for (const Extent& piece : plan.pieces) VZV_TRY(read_piece(filling, piece));
  finish_piece(filling);
  return {};
}

void VolumeBackup::count_unchanged() {
  const std::uint64_t more = planner_.unchanged_bytes() - counters_.unchanged_bytes;
  counters_.unchanged_bytes += more;
  counters_.processed_bytes += more;
}

Status VolumeBackup::pass_over(const ReadPlan& plan) {
  VZV_TRY(wait_for_room());
  const std::uint64_t end = geometry_.chunk_offset(plan.first_chunk + plan.chunk_count);
  const std::uint64_t bytes = std::min(end, geometry_.size_bytes) - geometry_.chunk_offset(plan.first_chunk);
  counters_.processed_bytes += bytes;
  counters_.zero_bytes += bytes;
  stage_.submit({plan.first_chunk, plan.chunk_count, nullptr, next_sequence_++});
  return {};
}

Status VolumeBackup::read_all() {
  while (true) {
    VZV_TRY(check());
    discarder_.submit();
    Result<std::optional<ReadPlan>> plan = planner_.next();
    if (!plan.ok()) return plan.status();
    count_unchanged();
    if (!*plan) break;
    VZV_TRY((*plan)->is_zero() ? pass_over(**plan) : fill(**plan));
  }
  while (in_flight_ > 0) VZV_TRY(turn(kLookIntervalMs));
  return check();
}

Status VolumeBackup::finish_discards() {
  silent_ = Clock::duration::zero();
  while (true) {
    VZV_TRY(cancel_.status());
    discarder_.submit();
    if (discarder_.in_flight() == 0) return {};
    const auto begun = Clock::now();
    const Result<bool> completed = source_.poll(kLookIntervalMs);
    silent_ = completed.ok() && *completed ? Clock::duration::zero() : silent_ + (Clock::now() - begun);
    if (!completed.ok()) {
      discarder_.give_up(completed.status().message());
      return cancel_.status();
    }
    if (silent_ >= std::chrono::milliseconds(options_.stall_timeout_ms)) {
      discarder_.give_up("discarding " + source_.name() + ": no answer for " +
                         std::to_string(options_.stall_timeout_ms) + " ms");
      return {};
    }
  }
}

Result<VolumeBackupResult> VolumeBackup::run() {
  VZV_TRY(stage_.start(default_workers()));
  VZV_TRY(read_all());
  Result<Id> root = stage_.finish();
  if (!root.ok()) return root.status();
  VZV_TRY(finish_discards());
  return VolumeBackupResult{geometry_, *root, discarder_.refusal()};
}

}  // namespace

Result<VolumeBackupResult> backup_volume(BlockSource& source, ChunkWriter& writer, const VolumeBackupOptions& options,
                                         BackupCounters& counters, const CancelToken& cancel) {
  Result<VolumeGeometry> geometry = VolumeGeometry::make(source.size_bytes(), options.chunk_size_bytes);
  if (!geometry.ok()) return geometry.status();
  if (options.incremental && options.incremental->geometry != *geometry) {
    return Status(Code::E_ARGUMENT_INVALID,
                  "the base of an incremental backup of " + source.name() + " has another size or chunk size");
  }
  counters.size_bytes = geometry->size_bytes;
  return guarded([&] { return VolumeBackup(source, writer, *geometry, options, counters, cancel).run(); });
}

}  // namespace vzv
