#include "core/pipeline/archive_verify.h"

#include <atomic>
#include <optional>
#include <string>
#include <utility>

#include "core/archive/catalogue.h"
#include "core/base/bounded_queue.h"
#include "core/base/threads.h"
#include "core/pipeline/damages.h"
#include "core/pipeline/first_error.h"
#include "core/pipeline/workers.h"

namespace vzv {

namespace {

class Verification {
 public:
  Verification(const ArchiveMap& archive, ChunkReader& chunks, CopyCounters& counters, const CancelToken& cancel)
      : archive_(archive),
        data_(archive.data, ChunkType::kData, chunks),
        catalogue_(archive.catalogue, ChunkType::kCatalogue, chunks),
        counters_(counters),
        cancel_(cancel),
        queue_(2 * std::size_t{default_workers()}) {}

  Result<ArchiveVerifyResult> run() {
    counters_.total_bytes = archive_.data.size_bytes + archive_.catalogue.size_bytes;
    VZV_TRY(read_data());
    VZV_TRY(read_catalogue());
    Damages::List found = damages_.list();
    return ArchiveVerifyResult{chunks_, found.count, std::move(found.listed)};
  }

 private:
  Status read_data();
  Status find_pieces();
  void read_pieces();
  Status read_catalogue();

  void fail(Status status) {
    if (status.ok()) return;
    error_.set(std::move(status));
    queue_.clear();
  }

  const ArchiveMap& archive_;
  StreamReader data_;
  StreamReader catalogue_;
  CopyCounters& counters_;
  const CancelToken& cancel_;
  BoundedQueue<StreamPiece> queue_;
  Damages damages_;
  FirstError error_;
  std::atomic<std::uint64_t> chunks_{0};
};

Status Verification::read_data() {
  Threads threads;
  Status started = threads.start(default_workers(), [this] { read_pieces(); });
  fail(started.ok() ? guarded([this] { return find_pieces(); }) : std::move(started));
  queue_.close();
  threads.join();
  VZV_TRY(error_.status());
  return cancel_.status();
}

Status Verification::find_pieces() {
  for (std::uint64_t at = 0; at < data_.size_bytes();) {
    VZV_TRY(cancel_.status());
    VZV_TRY(error_.status());
    const Result<StreamPiece> piece = data_.piece(at);
    if (!piece.ok()) {
      VZV_TRY(damages_.take(piece.status()));
      const std::uint64_t end = data_.end_of_unreadable(at);
      counters_.processed_bytes += end - at;
      at = end;
      continue;
    }
    at += piece->length;
    if (piece->id.is_zero()) {
      counters_.hole_bytes += piece->length;
      counters_.processed_bytes += piece->length;
    } else {
      queue_.push(*piece);
    }
  }
  return {};
}

void Verification::read_pieces() {
  while (const std::optional<StreamPiece> piece = queue_.pop()) {
    if (error_.failed()) continue;
    fail(guarded([&]() -> Status {
      const Result<ChunkReader::Chunk> bytes = data_.bytes(*piece);
      ++chunks_;
      counters_.processed_bytes += piece->length;
      return bytes.ok() ? Status() : damages_.take(bytes.status());
    }));
  }
}

Status Verification::read_catalogue() {
  CatalogueReader reader(catalogue_);
  CatalogueEntry entry;
  MemberIndex index;
  bool in_order = true;  // as far as that can be told
  std::uint64_t members = 0;
  std::uint64_t stored_bytes = 0;
  bool whole = true;
  for (;;) {
    VZV_TRY(cancel_.status());
    const Result<bool> more = reader.next(entry);
    counters_.processed_bytes = data_.size_bytes() + reader.offset();
    if (!more.ok()) {
      VZV_TRY(damages_.take(more.status()));
      whole = false;
      reader.skip_damaged();
      continue;
    }
    if (!*more) break;
    if (whole && in_order) {
      Status status = take_in(index, entry.member);
      in_order = status.ok();
      if (!in_order) VZV_TRY(damages_.take(std::move(status)));
    }
    ++members;
    stored_bytes += entry.member.stored_bytes;
  }
  chunks_ += reader.pieces();
  if (!whole || (members == archive_.members && stored_bytes == archive_.data.size_bytes)) return {};
  return damages_.take({Code::E_CATALOGUE_DAMAGED, "the catalogue has " + std::to_string(members) +
                                                       " members that store " + std::to_string(stored_bytes) +
                                                       " bytes, the archive " + std::to_string(archive_.members) +
                                                       " and " + std::to_string(archive_.data.size_bytes)});
}

}  // namespace

Result<ArchiveVerifyResult> verify_archive(const ArchiveMap& archive, ChunkReader& chunks, CopyCounters& counters,
                                           const CancelToken& cancel) {
  for (const StreamMap* stream : {&archive.data, &archive.catalogue}) {
    const Status status = check_stream_map(*stream);
    if (!status.ok()) return ArchiveVerifyResult{0, 1, {status}};
  }
  return Verification(archive, chunks, counters, cancel).run();
}

}  // namespace vzv
