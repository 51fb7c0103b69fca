#include "fuse/archive.h"

#include <algorithm>

#include "core/base/limits.h"

namespace vzv::fuse {
namespace {

// What a reader may leave out and still be one that goes on: files that it skips because it has them.
constexpr std::uint64_t kGapMaxBytes = 1 * limits::kMiB;

}  // namespace

void Archive::prefetch(std::uint64_t offset) {
  const Result<StreamPiece> piece = data_.piece(offset);
  if (piece.ok()) static_cast<void>(data_.bytes(*piece).ok());
}

Status ArchiveStream::read(std::uint64_t offset, std::span<std::uint8_t> buffer) {
  if (buffer.empty()) return {};
  note(offset, offset + buffer.size());
  return archive_.data().read(offset, buffer);
}

void ArchiveStream::note(std::uint64_t begin, std::uint64_t end) {
  const std::lock_guard lock(mutex_);
  // Reads that run side by side come in any order: what lies shortly behind the front belongs to it.
  const bool within = end <= front_ && front_ - end <= limits::kMountReadAheadBytes;
  const bool forward = piece_end_ > 0 && end > front_ && begin <= front_ + kGapMaxBytes;
  if (within && piece_end_ > 0) return;
  if (!forward) streaming_.set(false);
  front_ = end;
  if (end > piece_end_ || !forward) {
    const Result<StreamPiece> piece = archive_.data().piece(end - 1);
    if (!piece.ok()) return;  // told by the read itself
    piece_end_ = piece->offset + piece->length;
    if (!forward) requested_ = piece_end_;
    requested_ = std::max(requested_, piece_end_);
    if (forward) streaming_.set(true);
  }
  if (streaming_) request_ahead();
}

void ArchiveStream::request_ahead() {
  StreamReader& data = archive_.data();
  const std::uint64_t window_end = std::min(front_ + pool_.window_bytes(), data.size_bytes());
  while (requested_ < window_end) {
    const Result<StreamPiece> piece = data.piece(requested_);
    if (!piece.ok()) return;
    if (!piece->id.is_zero() && !pool_.request(archive_, piece->offset)) return;
    requested_ = piece->offset + piece->length;
  }
}

}  // namespace vzv::fuse
