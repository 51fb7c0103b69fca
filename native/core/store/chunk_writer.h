// Stores chunks that the repository does not have: into packs (data and metadata apart), and their places into index
// segments.
//
// Order, as docs/format.md demands: a segment lists only chunks of packs that are durable; flush() returns when
// everything that was put is in durable packs and durable segments. A snapshot may refer to a chunk from then on, not
// before.
//
// Memory: bounded by segment_entries and by what two open packs hold in their tables, whatever the disk's size. A full
// pack is made durable by the thread that filled it, while others fill the next.
//
// Thread-safe. The first error sticks: every later call answers it. Destroyed before flush(), it removes its temporary
// files; packs that were finished stay, for collection to find.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <unordered_set>
#include <vector>

#include "core/base/limits.h"
#include "core/store/index.h"
#include "core/store/pack_writer.h"

namespace vzv {

enum class Put { kStored, kReused };

struct ChunkWriterOptions {
  int zstd_level = 1;
  Suite suite = Suite::kNone;
  std::uint64_t pack_target_bytes = limits::kPackTargetBytes;  // at most kPackTargetMaxBytes
  std::size_t segment_entries = limits::kSegmentEntries;       // at least 1; a segment may list one pack's chunks more
};

class ChunkWriter {
 public:
  // Writes nothing yet. E_ARGUMENT_INVALID for options out of range.
  static Result<std::unique_ptr<ChunkWriter>> create(std::shared_ptr<RepositoryDir> dir, std::shared_ptr<Index> index,
                                                     ChunkWriterOptions options = {});

  // kReused where the index has the chunk already or this writer was given it before (perhaps by a thread that is still
  // at it: should that one fail, flush() answers its error). REQUIRES: id is that of `plain`, 1 … plain_max_bytes(type)
  // bytes, not all zero.
  Result<Put> put(ChunkType type, const Id& id, ByteSpan plain);

  // Covers every put() that returned before. Waits for those that have not.
  Status flush();

  // Bytes of the packs and segments that were finished: what the repository grew by.
  std::uint64_t added_bytes() const { return added_bytes_.load(std::memory_order_relaxed); }

 private:
  struct OpenPack {
    std::mutex mutex;
    std::unique_ptr<PackWriter> writer;  // GUARDED BY mutex; null until a chunk comes
  };

  ChunkWriter(std::shared_ptr<RepositoryDir> dir, std::shared_ptr<Index> index, ChunkWriterOptions options)
      : dir_(std::move(dir)), index_(std::move(index)), options_(options) {}
  bool claim(const ChunkKey& key);
  Status store(const ChunkKey& key, ByteSpan plain);
  Status append(OpenPack& open, const ChunkKey& key, std::uint32_t plain_bytes, EncodedChunk encoded,
                std::unique_ptr<PackWriter>& full);
  Status finish_pack(std::unique_ptr<PackWriter> pack);
  Status write_segment_of(std::vector<FinishedPack> packs);
  std::uint64_t target_bytes(ChunkType type) const;
  OpenPack& open_pack(ChunkType type) { return open_packs_[is_metadata(type) ? 1 : 0]; }
  Status error() const;
  // Keeps the first error, answers it.
  Status fail(Status status);

  const std::shared_ptr<RepositoryDir> dir_;
  const std::shared_ptr<Index> index_;
  const ChunkWriterOptions options_;

  // Shared by puts, exclusive for flush().
  std::shared_mutex flush_mutex_;
  std::array<OpenPack, 2> open_packs_;  // data, metadata
  std::atomic<std::uint64_t> added_bytes_{0};

  mutable std::mutex mutex_;
  std::unordered_set<ChunkKey, ChunkKeyHash> claimed_;  // GUARDED BY mutex_; put, and not in the index yet
  std::vector<FinishedPack> finished_;                  // GUARDED BY mutex_; durable, not in a segment yet
  std::size_t finished_entries_ = 0;                    // GUARDED BY mutex_
  Status error_;                                        // GUARDED BY mutex_
};

}  // namespace vzv
