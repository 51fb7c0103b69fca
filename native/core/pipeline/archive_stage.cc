#include "core/pipeline/archive_stage.h"

#include <chrono>
#include <utility>

#include "core/base/guarded.h"
#include "core/base/limits.h"
#include "core/chunk/zero.h"

namespace vzv {

namespace {

// A token that is cancelled wakes nobody here: whoever waits looks at it so often.
constexpr std::chrono::milliseconds kLookAgain{200};

}  // namespace

ArchiveStage::ArchiveStage(ChunkWriter& writer, ArchiveCounters& counters, const CancelToken& cancel)
    : writer_(writer), counters_(counters), cancel_(cancel), queue_(limits::kArchiveWindow), stream_(writer) {}

ArchiveStage::~ArchiveStage() {
  fail(Status(Code::E_CANCELLED, "the backup was given up"));
  stop();
}

Status ArchiveStage::start(unsigned workers) {
  return threads_.start(workers, [this] { run(); });
}

void ArchiveStage::stop() {
  queue_.close();
  threads_.join();
}

void ArchiveStage::fail(Status status) {
  error_.set(std::move(status));
  queue_.clear();
  listed_.notify_all();
}

bool ArchiveStage::has_room() {
  return waiting_bytes_ < limits::kArchiveBuffersBytes && submitted_ - due_ < limits::kArchiveWindow;
}

Status ArchiveStage::submit(Bytes piece) {
  {
    std::unique_lock lock(mutex_);
    while (!has_room() && !error_.failed() && !cancel_.cancelled()) listed_.wait_for(lock, kLookAgain);
    waiting_bytes_ += piece.size();
  }
  VZV_TRY(error_.status());
  VZV_TRY(cancel_.status());
  queue_.push({submitted_++, std::move(piece)});
  return {};
}

Result<StreamMap> ArchiveStage::finish() {
  stop();
  VZV_TRY(error_.status());
  VZV_TRY(cancel_.status());
  std::lock_guard lock(mutex_);
  return stream_.finish();
}

void ArchiveStage::run() {
  while (std::optional<Piece> piece = queue_.pop()) {
    if (error_.failed()) continue;
    if (Status status = guarded([&] { return handle(*piece); }); !status.ok()) fail(std::move(status));
  }
}

Status ArchiveStage::handle(Piece& piece) {
  const auto length = static_cast<std::uint32_t>(piece.bytes.size());
  const Result<Id> id = store(piece.bytes);
  let_go(piece.bytes);
  if (!id.ok()) return id.status();
  return list(piece.sequence, {*id, length});
}

void ArchiveStage::let_go(Bytes& bytes) {
  {
    std::lock_guard lock(mutex_);
    waiting_bytes_ -= bytes.size();
  }
  Bytes().swap(bytes);
  listed_.notify_all();
}

Result<Id> ArchiveStage::store(ByteSpan plain) {
  VZV_TRY(cancel_.status());
  if (is_zero(plain)) {
    counters_.zero_bytes += plain.size();
    return Id{};
  }
  const Id id = chunk_id(writer_.keys(), plain);
  const auto put = writer_.put(ChunkType::kData, id, plain);
  if (!put.ok()) return put.status();
  (put->put == Put::kStored ? counters_.new_bytes : counters_.reused_bytes) += plain.size();
  return id;
}

// A node of the map that is full is put meanwhile: that costs as little as one chunk in hundreds.
Status ArchiveStage::list(std::uint64_t sequence, const Stored& stored) {
  std::lock_guard lock(mutex_);
  done_.emplace(sequence, stored);
  for (auto next = done_.find(due_); next != done_.end(); next = done_.find(due_)) {
    VZV_TRY(stream_.append(next->second.id, next->second.length));
    done_.erase(next);
    ++due_;
  }
  listed_.notify_all();
  return {};
}

}  // namespace vzv
