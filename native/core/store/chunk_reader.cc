#include "core/store/chunk_reader.h"

#include <algorithm>

#include "core/base/guarded.h"
#include "core/base/limits.h"

namespace vzv {

ChunkReader::ChunkReader(std::shared_ptr<RepositoryDir> dir, std::shared_ptr<Index> index, std::uint64_t cache_bytes,
                         RepositoryKeysPtr keys)
    : dir_(std::move(dir)), index_(std::move(index)), cache_bytes_(cache_bytes), keys_(std::move(keys)) {}

Result<ChunkReader::Chunk> ChunkReader::read(const Id& id, ChunkType type, std::uint32_t plain_bytes) {
  const ChunkKey key{id, type};
  std::shared_ptr<Pending> pending;
  {
    std::unique_lock lock(mutex_);
    if (Chunk chunk = take_cached(key); chunk != nullptr && chunk->size() == plain_bytes) {
      cache_hits_.fetch_add(1, std::memory_order_relaxed);
      return chunk;
    }
    const auto [entry, first] = pending_.try_emplace(key, nullptr);
    if (!first) {
      const std::shared_ptr<Pending> other = entry->second;
      if (other->plain_bytes != plain_bytes) {
        // Threads that believe in different lengths of one chunk: one of them has a damaged map, and its error must not
        // become the other's.
        lock.unlock();
        return load(id, type, plain_bytes);
      }
      loaded_.wait(lock, [&] { return other->done; });
      if (!other->status.ok()) return other->status;
      cache_hits_.fetch_add(1, std::memory_order_relaxed);
      return other->chunk;
    }
    pending = entry->second = std::make_shared<Pending>(Pending{.plain_bytes = plain_bytes});
  }

  // Whatever happens, nobody shall wait for it for ever.
  Result<Chunk> loaded = guarded([&] { return load(id, type, plain_bytes); });
  if (!loaded.ok() && note_unreadable_) note_unreadable_(key);

  {
    std::lock_guard lock(mutex_);
    pending->done = true;
    pending->status = loaded.status();
    if (loaded.ok()) {
      pending->chunk = *loaded;
      keep(key, *loaded);
    }
    pending_.erase(key);
  }
  loaded_.notify_all();
  return loaded;
}

Result<ChunkReader::Chunk> ChunkReader::read(const Id& id, ChunkType type) {
  const std::uint64_t generation = index_->generation();
  std::optional<ChunkPlace> place = index_->find(id, type);
  if (!place) {
    const Result<bool> renewed = index_->refresh_after_miss(generation);
    if (renewed.ok() && *renewed) place = index_->find(id, type);
  }
  if (!place) {
    if (note_unreadable_) note_unreadable_({id, type});
    return Status(Code::E_CHUNK_MISSING, describe_chunk(id, type) + " " + index_->explain_missing(id, type));
  }
  return read(id, type, place->plain_bytes);
}

Result<ChunkReader::Chunk> ChunkReader::load(const Id& id, ChunkType type, std::uint32_t plain_bytes) {
  const std::uint64_t generation = index_->generation();
  Result<Chunk> chunk = load_now(id, type, plain_bytes);
  const Code code = chunk.status().code();
  if (code != Code::E_CHUNK_MISSING && code != Code::E_CHUNK_DAMAGED) return chunk;
  const Result<bool> renewed = index_->refresh_after_miss(generation);
  return renewed.ok() && *renewed ? load_now(id, type, plain_bytes) : chunk;
}

Result<ChunkReader::Chunk> ChunkReader::load_now(const Id& id, ChunkType type, std::uint32_t plain_bytes) {
  const std::vector<ChunkPlace> places = index_->find_all(id, type);
  if (places.empty()) {
    return Status(Code::E_CHUNK_MISSING, describe_chunk(id, type) + " " + index_->explain_missing(id, type));
  }
  Status first_error;
  for (const ChunkPlace& place : places) {
    Result<Chunk> chunk = load_from(place, id, plain_bytes);
    if (chunk.ok()) return chunk;
    if (first_error.ok()) first_error = chunk.status();
  }
  return first_error;
}

Result<ChunkReader::Chunk> ChunkReader::load_from(const ChunkPlace& place, const Id& id, std::uint32_t plain_bytes) {
  if (place.plain_bytes != plain_bytes) {
    return Status(Code::E_CHUNK_DAMAGED, describe_chunk(id, place.type) + " in " + describe_pack(place.pack) +
                                             " at offset " + std::to_string(place.offset) + ": it has " +
                                             std::to_string(place.plain_bytes) + " bytes, not the " +
                                             std::to_string(plain_bytes) + " that the map says");
  }
  Result<std::shared_ptr<PackReader>> pack = open_pack(place.pack);
  const Status readable = pack.ok() ? (*pack)->readable() : pack.status();
  if (!readable.ok()) {
    // Seen from a chunk, a pack that is gone, cannot be one's or is not the repository's is a chunk that is missing or
    // damaged.
    Code code = readable.code();
    if (code == Code::E_PACK_MISSING) code = Code::E_CHUNK_MISSING;
    if (code == Code::E_PACK_DAMAGED || code == Code::E_SUITE_MISMATCH) code = Code::E_CHUNK_DAMAGED;
    return Status(code, describe_chunk(id, place.type) + " at offset " + std::to_string(place.offset) + ": " +
                            readable.message());
  }
  const auto chunk = std::make_shared<Bytes>(plain_bytes);
  const PackEntry entry{id, place.type, place.codec, place.stored_bytes, place.plain_bytes, place.offset};
  VZV_TRY(missing_if_gone((*pack)->read_chunk(entry, place.ordinal, *chunk), place, id));
  chunks_read_.fetch_add(1, std::memory_order_relaxed);
  stored_bytes_read_.fetch_add(place.stored_bytes, std::memory_order_relaxed);
  decoded_bytes_.at(static_cast<std::size_t>(place.type)).fetch_add(plain_bytes, std::memory_order_relaxed);
  return Chunk(chunk);
}

Status ChunkReader::missing_if_gone(Status status, const ChunkPlace& place, const Id& id) {
  if (status.code() != Code::E_STORAGE_IO) return status;
  const Result<std::optional<FileStatus>> file = dir_->status(pack_name(place.pack));
  if (!file.ok() || file.value()) return status;
  std::lock_guard lock(packs_mutex_);
  open_packs_.remove_if([&](const auto& open) { return open->id() == place.pack; });
  return {Code::E_CHUNK_MISSING, describe_chunk(id, place.type) + " at offset " + std::to_string(place.offset) + ": " +
                                     describe_pack(place.pack) + " is missing: there is no " + pack_name(place.pack)};
}

Result<std::shared_ptr<PackReader>> ChunkReader::open_pack(const Id& pack) {
  {
    std::lock_guard lock(packs_mutex_);
    const auto open =
        std::find_if(open_packs_.begin(), open_packs_.end(), [&](const auto& other) { return other->id() == pack; });
    if (open != open_packs_.end()) {
      open_packs_.splice(open_packs_.begin(), open_packs_, open);
      return open_packs_.front();
    }
  }
  // Outside the lock: an open may take long. Two threads may open one pack at once, which costs a descriptor for a
  // while.
  Result<std::shared_ptr<PackReader>> reader = PackReader::open(*dir_, pack, keys_);
  if (!reader.ok()) return reader;
  packs_opened_.fetch_add(1, std::memory_order_relaxed);
  std::lock_guard lock(packs_mutex_);
  open_packs_.push_front(*reader);
  if (open_packs_.size() > limits::kOpenPacksMax) open_packs_.pop_back();
  return reader;
}

ChunkReader::Chunk ChunkReader::take_cached(const ChunkKey& key) {
  const auto found = cached_.find(key);
  if (found == cached_.end()) return nullptr;
  recent_.splice(recent_.begin(), recent_, found->second);
  return found->second->chunk;
}

void ChunkReader::keep(const ChunkKey& key, const Chunk& chunk) {
  if (chunk->size() > cache_bytes_ || cached_.contains(key)) return;
  recent_.push_front({key, chunk});
  cached_.emplace(key, recent_.begin());
  cached_bytes_ += chunk->size();
  while (cached_bytes_ > cache_bytes_) {
    cached_bytes_ -= recent_.back().chunk->size();
    cached_.erase(recent_.back().key);
    recent_.pop_back();
  }
}

ReadCounters ChunkReader::counters() const {
  const auto decoded = [this](ChunkType type) {
    return decoded_bytes_.at(static_cast<std::size_t>(type)).load(std::memory_order_relaxed);
  };
  ReadCounters counters;
  counters.chunks_read = chunks_read_.load(std::memory_order_relaxed);
  counters.stored_bytes_read = stored_bytes_read_.load(std::memory_order_relaxed);
  counters.packs_opened = packs_opened_.load(std::memory_order_relaxed);
  counters.cache_hits = cache_hits_.load(std::memory_order_relaxed);
  counters.data_bytes_decoded = decoded(ChunkType::kData);
  counters.map_bytes_decoded = decoded(ChunkType::kMapNode);
  counters.catalogue_bytes_decoded = decoded(ChunkType::kCatalogue);
  return counters;
}

}  // namespace vzv
