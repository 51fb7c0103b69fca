#include "core/store/chunk_writer.h"

#include <algorithm>

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
  return std::unique_ptr<ChunkWriter>(new ChunkWriter(std::move(dir), std::move(index), options));
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

bool ChunkWriter::claim(const ChunkKey& key) {
  std::lock_guard lock(mutex_);
  return claimed_.insert(key).second;
}

Result<Put> ChunkWriter::put(ChunkType type, const Id& id, ByteSpan plain) {
  std::shared_lock putting(flush_mutex_);
  VZV_TRY(error());
  if (plain.empty() || plain.size() > plain_max_bytes(type) || id.is_zero()) {
    return fail({Code::E_INTERNAL,
                 describe_chunk(id, type) + " cannot be stored: it has " + std::to_string(plain.size()) + " bytes"});
  }
  // Claimed before the index is asked: whoever comes second meets either the claim or the entry that it became.
  const ChunkKey key{id, type};
  if (!claim(key)) return Put::kReused;
  if (index_->find(id, type)) {
    std::lock_guard lock(mutex_);
    claimed_.erase(key);
    return Put::kReused;
  }
  VZV_TRY(fail(store(key, plain)));
  return Put::kStored;
}

std::uint64_t ChunkWriter::target_bytes(ChunkType type) const {
  return is_metadata(type) ? std::min(options_.pack_target_bytes, limits::kMapPackTargetBytes)
                           : options_.pack_target_bytes;
}

Status ChunkWriter::store(const ChunkKey& key, ByteSpan plain) {
  Result<EncodedChunk> encoded = encode(plain, options_.zstd_level);
  if (!encoded.ok()) return encoded.status();
  std::unique_ptr<PackWriter> full;
  VZV_TRY(append(open_pack(key.type), key, static_cast<std::uint32_t>(plain.size()), std::move(*encoded), full));
  return full == nullptr ? Status() : finish_pack(std::move(full));
}

Status ChunkWriter::append(OpenPack& open, const ChunkKey& key, std::uint32_t plain_bytes, EncodedChunk encoded,
                           std::unique_ptr<PackWriter>& full) {
  std::lock_guard lock(open.mutex);
  if (open.writer == nullptr) {
    Result<std::unique_ptr<PackWriter>> writer = PackWriter::create(dir_, options_.suite);
    if (!writer.ok()) return writer.status();
    open.writer = std::move(*writer);
  }
  VZV_TRY(open.writer->append(key.id, key.type, plain_bytes, std::move(encoded)));
  // A pack of chunks that shrank to nothing is full by their number: its table is held in memory.
  const bool is_full =
      open.writer->bytes() >= target_bytes(key.type) || open.writer->entries() >= options_.segment_entries;
  if (is_full) full = std::move(open.writer);
  return {};
}

Status ChunkWriter::finish_pack(std::unique_ptr<PackWriter> pack) {
  Result<FinishedPack> finished = pack->finish();
  if (!finished.ok()) return finished.status();
  added_bytes_.fetch_add(finished->file_bytes, std::memory_order_relaxed);

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
  Result<WrittenSegment> segment = write_segment(*dir_, options_.suite, packs);
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
    std::unique_ptr<PackWriter> pack;
    {
      std::lock_guard lock(open.mutex);
      pack = std::move(open.writer);
    }
    if (pack != nullptr) VZV_TRY(fail(finish_pack(std::move(pack))));
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
