// Reads chunks by id: index, pack, codec, and the proof that the bytes have that id. Never answers anything else.
//
// Decoded chunks are kept in a cache bounded in bytes, least recently used out first; threads that ask for one chunk at
// the same time share one read. A chunk that is damaged in one pack is read from another that has it too. What is
// missing may have been moved by a collection since the index was read: then the index is refreshed, and read again.
//
// Thread-safe.
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <unordered_map>

#include "core/store/index.h"
#include "core/store/pack_reader.h"
#include "core/store/repository_dir.h"

namespace vzv {

struct ReadCounters {
  std::uint64_t chunks_read = 0;  // from packs
  std::uint64_t stored_bytes_read = 0;
  std::uint64_t cache_hits = 0;
  std::uint64_t packs_opened = 0;  // one pack as often as it was opened
  // Plain bytes of those chunks, by what they hold.
  std::uint64_t data_bytes_decoded = 0;
  std::uint64_t map_bytes_decoded = 0;
  std::uint64_t catalogue_bytes_decoded = 0;
};

class ChunkReader {
 public:
  using Chunk = std::shared_ptr<const Bytes>;

  // cache_bytes bounds what is kept of decoded chunks; what callers hold comes on top. `keys` are the repository's,
  // null where it is not encrypted.
  ChunkReader(std::shared_ptr<RepositoryDir> dir, std::shared_ptr<Index> index, std::uint64_t cache_bytes,
              RepositoryKeysPtr keys = nullptr);

  // E_CHUNK_MISSING or E_CHUNK_DAMAGED naming chunk, pack and offset; errors of the storage as they are; E_KEY_MISSING.
  // plain_bytes is what the map says: a chunk of another length is damage. REQUIRES: `id` is not the zero sentinel.
  Result<Chunk> read(const Id& id, ChunkType type, std::uint32_t plain_bytes);
  // The same for a chunk whose length nothing but the index tells, such as a node of a stream's map.
  Result<Chunk> read(const Id& id, ChunkType type);

  // Called for every chunk that read() answers as missing, damaged or unreadable, by the thread that read it; several
  // at once. Set before the first read.
  void on_unreadable(std::function<void(const ChunkKey&)> note) { note_unreadable_ = std::move(note); }

  ReadCounters counters() const;

 private:
  // A read that is under way; those that want the same chunk wait for it.
  struct Pending {
    std::uint32_t plain_bytes;  // what its map says
    bool done = false;
    Status status{};
    Chunk chunk{};
  };
  struct Cached {
    ChunkKey key;
    Chunk chunk;
  };

  Result<Chunk> load(const Id& id, ChunkType type, std::uint32_t plain_bytes);
  // From the places that the index knows now.
  Result<Chunk> load_now(const Id& id, ChunkType type, std::uint32_t plain_bytes);
  Result<Chunk> load_from(const ChunkPlace& place, const Id& id, std::uint32_t plain_bytes);
  Result<std::shared_ptr<PackReader>> open_pack(const Id& pack);
  // E_CHUNK_MISSING in place of an error of the storage that came because the pack is gone: what was opened before may
  // then fail in any way (NFS: ESTALE).
  Status missing_if_gone(Status status, const ChunkPlace& place, const Id& id);
  Chunk take_cached(const ChunkKey& key);              // REQUIRES: mutex_ held; null when not there
  void keep(const ChunkKey& key, const Chunk& chunk);  // REQUIRES: mutex_ held

  const std::shared_ptr<RepositoryDir> dir_;
  const std::shared_ptr<Index> index_;
  const std::uint64_t cache_bytes_;
  const RepositoryKeysPtr keys_;
  std::function<void(const ChunkKey&)> note_unreadable_;

  std::mutex mutex_;
  std::condition_variable loaded_;
  std::unordered_map<ChunkKey, std::shared_ptr<Pending>, ChunkKeyHash> pending_;    // GUARDED BY mutex_
  std::list<Cached> recent_;                                                        // GUARDED BY mutex_; newest first
  std::unordered_map<ChunkKey, std::list<Cached>::iterator, ChunkKeyHash> cached_;  // GUARDED BY mutex_
  std::uint64_t cached_bytes_ = 0;                                                  // GUARDED BY mutex_

  std::mutex packs_mutex_;
  std::list<std::shared_ptr<PackReader>> open_packs_;  // GUARDED BY packs_mutex_; newest first

  std::atomic<std::uint64_t> chunks_read_{0};
  std::atomic<std::uint64_t> stored_bytes_read_{0};
  std::atomic<std::uint64_t> cache_hits_{0};
  std::atomic<std::uint64_t> packs_opened_{0};
  std::array<std::atomic<std::uint64_t>, 4> decoded_bytes_{};  // by the type's number
};

}  // namespace vzv
