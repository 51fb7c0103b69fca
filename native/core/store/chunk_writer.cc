#include "core/store/chunk_writer.h"

#include <algorithm>
#include <utility>

#include "core/store/segment_writer.h"

namespace vzv {

Result<std::unique_ptr<ChunkWriter>> ChunkWriter::create(std::shared_ptr<RepositoryDir> dir,
                                                         std::shared_ptr<Index> index, ChunkWriterOptions options) {
  if (options.pack_target_bytes == 0 || options.pack_target_bytes > limits::kPackTargetMaxBytes) {
    return Status(Code::E_ARGUMENT_INVALID,
                  "packs cannot be of " + std::to_string(options.pack_target_bytes) + " bytes");
  }
  if (options.segment_entries == 0 || options.segment_entries > limits::kPackEntriesMax) {
    return Status(Code::E_ARGUMENT_INVALID,
                  "segments cannot be of " + std::to_string(options.segment_entries) + " entries");
  }
  // What the index has is not stored again: it must be what this writer's readers can open.
  if (options.keys == nullptr && index->lists(Suite::kAes256Gcm)) {
    return Status(Code::E_KEY_MISSING, "the repository holds encrypted chunks, and there is no key");
  }
  if (options.keys != nullptr && index->lists(Suite::kNone)) {
    return Status(Code::E_SUITE_MISMATCH, "the index lists chunks that are not encrypted, though the repository is");
  }
  if (!options.session.empty()) {
    Result<std::shared_ptr<RepositoryDir>> own = dir->for_session(options.session);
    if (!own.ok()) return own.status();
    dir = std::move(*own);
  }
  return std::unique_ptr<ChunkWriter>(new ChunkWriter(std::move(dir), std::move(index), std::move(options)));
}

Status ChunkWriter::error() const {
  std::lock_guard lock(mutex_);
  return error_;
}

Status ChunkWriter::fail(Status status) {
  if (status.ok()) return status;
  std::lock_guard lock(mutex_);
  if (error_.ok()) error_ = std::move(status);
  return error_;
}

std::optional<Durability> ChunkWriter::claim(const ChunkKey& key) {
  std::lock_guard lock(mutex_);
  const auto [entry, is_first] = claimed_.try_emplace(key);
  if (is_first) return std::nullopt;
  Claim& claim = entry->second;
  if (claim.pack != nullptr) return Durability(claim.pack);
  // Whoever claimed it has not appended it yet.
  if (claim.early == nullptr) claim.early = std::make_shared<std::atomic<bool>>(false);
  return Durability(claim.early);
}

void ChunkWriter::take_back_claim(const ChunkKey& key) {
  std::lock_guard lock(mutex_);
  const auto claim = claimed_.find(key);
  // Those who met it meanwhile mean what is in the index.
  if (claim->second.early != nullptr) claim->second.early->store(true, std::memory_order_release);
  claimed_.erase(claim);
}

bool ChunkWriter::refer(const ChunkKey& key) {
  std::shared_lock looking(exclusion_mutex_);
  const std::optional<ChunkPlace> place = index_->find(key.id, key.type, excluded_);
  if (!place) return false;
  std::lock_guard lock(packs_mutex_);
  referred_.insert(place->pack);
  return true;
}

std::vector<Id> ChunkWriter::exclude(const std::vector<Id>& packs) {
  std::unique_lock excluding(exclusion_mutex_);
  std::lock_guard lock(packs_mutex_);
  std::vector<Id> keeps;
  for (const Id& pack : packs) {
    if (referred_.contains(pack) || written_.contains(pack)) {
      keeps.push_back(pack);
    } else {
      excluded_.insert(pack);
    }
  }
  return keeps;
}

std::vector<Id> ChunkWriter::written_packs() const {
  std::lock_guard lock(packs_mutex_);
  return {written_.begin(), written_.end()};
}

Result<PutResult> ChunkWriter::put(ChunkType type, const Id& id, ByteSpan plain) {
  std::shared_lock putting(flush_mutex_);
  VZV_TRY(error());
  if (plain.empty() || plain.size() > plain_max_bytes(type) || id.is_zero()) {
    return fail({Code::E_INTERNAL,
                 describe_chunk(id, type) + " cannot be stored: it has " + std::to_string(plain.size()) + " bytes"});
  }
  // Claimed before the index is asked: whoever comes second meets either the claim or the entry that it became.
  const ChunkKey key{id, type};
  if (std::optional<Durability> durability = claim(key)) return PutResult{Put::kReused, 0, std::move(*durability)};
  if (refer(key)) {
    take_back_claim(key);
    return PutResult{Put::kReused};
  }
  Result<PutResult> stored = store(key, plain);
  if (!stored.ok()) return fail(stored.status());
  return stored;
}

std::uint64_t ChunkWriter::target_bytes(ChunkType type) const {
  return is_metadata(type) ? std::min(options_.pack_target_bytes, limits::kMapPackTargetBytes)
                           : options_.pack_target_bytes;
}

Result<PutResult> ChunkWriter::store(const ChunkKey& key, ByteSpan plain) {
  Result<EncodedChunk> encoded = encode(plain, options_.zstd_level);
  if (!encoded.ok()) return encoded.status();
  const auto stored_bytes = static_cast<std::uint32_t>(encoded->bytes.size());
  UnfinishedPack full;
  Result<Durability> durability =
      append(open_pack(key.type), key, static_cast<std::uint32_t>(plain.size()), std::move(*encoded), full);
  if (!durability.ok()) return durability.status();
  if (full.writer != nullptr) VZV_TRY(finish_pack(std::move(full)));
  return PutResult{Put::kStored, stored_bytes, std::move(*durability)};
}

Result<Durability> ChunkWriter::append(OpenPack& open, const ChunkKey& key, std::uint32_t plain_bytes,
                                       EncodedChunk encoded, UnfinishedPack& full) {
  std::lock_guard lock(open.mutex);
  UnfinishedPack& pack = open.pack;
  if (pack.writer == nullptr) {
    Result<std::unique_ptr<PackWriter>> writer = PackWriter::create(dir_, options_.keys.get());
    if (!writer.ok()) return writer.status();
    pack = {std::move(*writer), {std::make_shared<std::atomic<bool>>(false)}};
  }
  if (Status appended = pack.writer->append(key.id, key.type, plain_bytes, std::move(encoded)); !appended.ok()) {
    // Those who wait for it begin another, or find that this writer has failed.
    pack = {};
    return appended;
  }
  const DurableFlag durable = pack.durable.front();
  {
    std::lock_guard claims(mutex_);
    Claim& claim = claimed_.at(key);
    claim.pack = durable;
    if (claim.early != nullptr) pack.durable.push_back(std::move(claim.early));
  }
  // A pack of chunks that shrank to nothing is full by their number: its table is held in memory.
  const bool is_full =
      pack.writer->bytes() >= target_bytes(key.type) || pack.writer->entries() >= options_.segment_entries;
  if (is_full) full = std::exchange(pack, {});
  return Durability(durable);
}

Status ChunkWriter::finish_pack(UnfinishedPack pack) {
  // Noted before the pack can be seen, and so condemned.
  Result<FinishedPack> finished = pack.writer->finish([this](const Id& id) {
    std::lock_guard lock(packs_mutex_);
    written_.insert(id);
  });
  if (!finished.ok()) return finished.status();
  added_bytes_.fetch_add(finished->file_bytes, std::memory_order_relaxed);
  for (const DurableFlag& durable : pack.durable) durable->store(true, std::memory_order_release);

  std::vector<FinishedPack> batch;
  {
    std::lock_guard lock(mutex_);
    finished_entries_ += finished->entries.size();
    finished_.push_back(std::move(*finished));
    if (finished_entries_ >= options_.segment_entries) {
      batch.swap(finished_);
      finished_entries_ = 0;
    }
  }
  return batch.empty() ? Status() : write_segment_of(std::move(batch));
}

Status ChunkWriter::write_segment_of(std::vector<FinishedPack> packs) {
  Result<WrittenSegment> segment = write_segment(*dir_, suite_of(options_.keys.get()), packs);
  if (!segment.ok()) return segment.status();
  added_bytes_.fetch_add(segment->bytes.size(), std::memory_order_relaxed);
  VZV_TRY(index_->add(segment->id, segment->bytes));

  std::lock_guard lock(mutex_);
  for (const FinishedPack& pack : packs) {
    for (const PackEntry& entry : pack.entries) claimed_.erase({entry.id, entry.type});
  }
  return {};
}

Status ChunkWriter::flush() {
  std::unique_lock flushing(flush_mutex_);
  VZV_TRY(error());
  for (OpenPack& open : open_packs_) {
    UnfinishedPack pack;
    {
      std::lock_guard lock(open.mutex);
      pack = std::exchange(open.pack, {});
    }
    if (pack.writer != nullptr) VZV_TRY(fail(finish_pack(std::move(pack))));
  }
  std::vector<FinishedPack> batch;
  {
    std::lock_guard lock(mutex_);
    batch.swap(finished_);
    finished_entries_ = 0;
  }
  return batch.empty() ? Status() : fail(write_segment_of(std::move(batch)));
}

}  // namespace vzv
