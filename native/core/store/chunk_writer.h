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
// Packs that a collector wants to delete are excluded: their chunks count as absent and are stored again. Which packs
// this writer depends on, because it answered kReused for a chunk in them or wrote them, it knows from the moment at
// which it came to depend on them.
//
// Thread-safe. The first error sticks: every later call answers it. Destroyed before flush(), it removes its temporary
// files; packs that were finished stay, for collection to find.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/base/limits.h"
#include "core/store/index.h"
#include "core/store/pack_writer.h"

namespace vzv {

enum class Put { kStored, kReused };

// Whether what was put would survive a crash of this machine. Copies share the answer. Thread-safe.
class Durability {
 public:
  // Reached already.
  Durability() = default;
  // Reached once the flag is set.
  explicit Durability(std::shared_ptr<const std::atomic<bool>> flag) : flag_(std::move(flag)) {}

  bool reached() const { return flag_ == nullptr || flag_->load(std::memory_order_acquire); }
  // Whether both are reached at the same moment, as those of one pack are.
  bool operator==(const Durability&) const = default;

 private:
  std::shared_ptr<const std::atomic<bool>> flag_;
};

struct PutResult {
  Put put;
  // What it takes in its pack; 0 where it was reused.
  std::uint32_t stored_bytes = 0;
  // Reached when the chunk's pack is: at once where the index had it. Never where the pack fails.
  Durability durability{};
};

struct ChunkWriterOptions {
  int zstd_level = 1;
  std::uint64_t pack_target_bytes = limits::kPackTargetBytes;  // at most kPackTargetMaxBytes
  std::size_t segment_entries = limits::kSegmentEntries;       // at least 1; a segment may list one pack's chunks more
  RepositoryKeysPtr keys{};                                    // of an encrypted repository
  std::string session{};                                       // its unfinished files are tmp/<session>-<random>
  std::vector<Id> excluded{};                                  // as by exclude() before the first put()
};

class ChunkWriter {
 public:
  // Writes nothing yet. E_ARGUMENT_INVALID for options out of range, E_KEY_MISSING where the index lists encrypted
  // chunks and there are no keys, E_SUITE_MISMATCH where it lists others and there are.
  static Result<std::unique_ptr<ChunkWriter>> create(std::shared_ptr<RepositoryDir> dir, std::shared_ptr<Index> index,
                                                     ChunkWriterOptions options = {});

  // kReused where the index has the chunk already or this writer was given it before (perhaps by a thread that is still
  // at it: should that one fail, flush() answers its error). REQUIRES: id is that of `plain`, 1 … plain_max_bytes(type)
  // bytes, not all zero.
  Result<PutResult> put(ChunkType type, const Id& id, ByteSpan plain);

  // Covers every put() that returned before. Waits for those that have not.
  Status flush();

  // Excludes these packs for all later lookups, but those of them that this writer depends on already: it answers them,
  // and they stay usable. Waits for lookups that are under way, so that each put() counts as before or after. Works
  // also after an error.
  std::vector<Id> exclude(const std::vector<Id>& packs);
  // Packs that this writer made durable, or is making so, in no order.
  std::vector<Id> written_packs() const;

  // Null where the repository is not encrypted. What makes ids and cuts of the plain bytes that are put.
  const RepositoryKeys* keys() const { return options_.keys.get(); }

  // Bytes of the packs and segments that were finished: what the repository grew by.
  std::uint64_t added_bytes() const { return added_bytes_.load(std::memory_order_relaxed); }

 private:
  using DurableFlag = std::shared_ptr<std::atomic<bool>>;

  struct UnfinishedPack {
    std::unique_ptr<PackWriter> writer;
    // Set once the pack is durable. The first is its own, the others are those of chunks that were asked for before
    // they had a pack.
    std::vector<DurableFlag> durable;
  };
  struct OpenPack {
    std::mutex mutex;
    UnfinishedPack pack;  // GUARDED BY mutex; its writer is null until a chunk comes
  };
  // A chunk that was put, and is not in the index yet.
  struct Claim {
    DurableFlag pack;   // of the pack that it was appended to; null before
    DurableFlag early;  // handed out before
  };

  ChunkWriter(std::shared_ptr<RepositoryDir> dir, std::shared_ptr<Index> index, ChunkWriterOptions options)
      : dir_(std::move(dir)),
        index_(std::move(index)),
        options_(std::move(options)),
        excluded_(options_.excluded.begin(), options_.excluded.end()) {}
  // True where the index has the chunk in a pack that is not excluded; from then on this writer depends on that pack.
  bool refer(const ChunkKey& key);
  // Nothing where the chunk is the caller's to store; where it was put before, when that one is durable.
  std::optional<Durability> claim(const ChunkKey& key);
  void take_back_claim(const ChunkKey& key);
  Result<PutResult> store(const ChunkKey& key, ByteSpan plain);
  // Answers when it is durable. A pack that is full with it is moved to `full`.
  Result<Durability> append(OpenPack& open, const ChunkKey& key, std::uint32_t plain_bytes, EncodedChunk encoded,
                            UnfinishedPack& full);
  Status finish_pack(UnfinishedPack pack);
  Status write_segment_of(std::vector<FinishedPack> packs);
  std::uint64_t target_bytes(ChunkType type) const;
  OpenPack& open_pack(ChunkType type) { return open_packs_[is_metadata(type) ? 1 : 0]; }
  Status error() const;
  // Keeps the first error, answers it.
  Status fail(Status status);

  const std::shared_ptr<RepositoryDir> dir_;
  const std::shared_ptr<Index> index_;
  const ChunkWriterOptions options_;

  // Shared by lookups, exclusive for exclude(). Taken before packs_mutex_.
  std::shared_mutex exclusion_mutex_;
  IdSet excluded_;  // GUARDED BY exclusion_mutex_
  mutable std::mutex packs_mutex_;
  IdSet referred_;  // GUARDED BY packs_mutex_
  IdSet written_;   // GUARDED BY packs_mutex_; from before a pack has its name

  // Shared by puts, exclusive for flush().
  std::shared_mutex flush_mutex_;
  std::array<OpenPack, 2> open_packs_;  // data, metadata
  std::atomic<std::uint64_t> added_bytes_{0};

  mutable std::mutex mutex_;                                   // taken after that of an open pack
  std::unordered_map<ChunkKey, Claim, ChunkKeyHash> claimed_;  // GUARDED BY mutex_
  std::vector<FinishedPack> finished_;                         // GUARDED BY mutex_; durable, not in a segment yet
  std::size_t finished_entries_ = 0;                           // GUARDED BY mutex_
  Status error_;                                               // GUARDED BY mutex_
};

}  // namespace vzv
