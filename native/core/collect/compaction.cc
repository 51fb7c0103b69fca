#include "core/collect/compaction.h"

#include "core/store/chunk_writer.h"
#include "core/store/pack_reader.h"

namespace vzv {

namespace {

// What is wrong with a pack or a chunk, not with the storage: that one is left alone.
bool is_damage(Code code) {
  return code == Code::E_CHUNK_DAMAGED || code == Code::E_CHUNK_MISSING || code == Code::E_PACK_DAMAGED ||
         code == Code::E_PACK_MISSING || code == Code::E_SUITE_MISMATCH || code == Code::E_SUITE_UNKNOWN;
}

// An error of the storage may be of this file alone, such as a sector that is lost. The same packs would be chosen
// again the next time, so that one that stops a collection would stop all that come.
bool is_of_file(Code code) { return is_damage(code) || code == Code::E_STORAGE_IO; }

class Compaction {
 public:
  Compaction(RepositoryDir& dir, const LiveChunks& live, ChunkReader& reader, ChunkWriter& writer, const IdSet& going,
             const CollectControl& control, CollectCounters& counters)
      : dir_(dir),
        live_(live),
        reader_(reader),
        writer_(writer),
        going_(going),
        control_(control),
        counters_(counters) {}

  Status move_from(const Id& id, const RepositoryKeysPtr& keys) {
    VZV_TRY(control_.cancel.status());
    const Result<std::shared_ptr<PackReader>> pack = PackReader::open(dir_, id, keys);
    if (!pack.ok()) return left_alone(id, pack.status());
    counters_.files_opened.fetch_add(1, std::memory_order_relaxed);
    const Result<std::vector<PackEntry>> table = (*pack)->table();
    if (!table.ok()) return left_alone(id, table.status());
    std::uint32_t ordinal = 0;
    for (const PackEntry& entry : *table) {
      VZV_TRY(move(**pack, entry, ordinal++));
      counters_.processed_bytes.fetch_add(entry.stored_bytes, std::memory_order_relaxed);
    }
    return {};
  }

 private:
  // Success where what could not be read may stay where it is. A storage that is away does not tell of the pack either:
  // then that is the error.
  Status left_alone(const Id& pack, const Status& unreadable) {
    if (is_damage(unreadable.code())) return {};
    const bool is_there = is_of_file(unreadable.code()) && dir_.status(pack_name(pack)).ok();
    return is_there ? Status() : unreadable;
  }

  Status move(const PackReader& pack, const PackEntry& entry, std::uint32_t ordinal) {
    const ChunkKey key{entry.id, entry.type};
    if (!live_.live(key) || live_.has_place_outside(key, going_)) return {};
    VZV_TRY(control_.before_reading(entry.stored_bytes));
    plain_.resize(entry.plain_bytes);
    Status status = pack.read_chunk(entry, ordinal, plain_);
    if (is_of_file(status.code())) {
      // Another of the packs may have it whole.
      const Result<ChunkReader::Chunk> other = reader_.read(entry.id, entry.type, entry.plain_bytes);
      status = other.status();
      if (other.ok()) plain_ = **other;
    }
    if (!status.ok()) return left_alone(pack.id(), status);
    return writer_.put(entry.type, entry.id, plain_).status();
  }

  RepositoryDir& dir_;
  const LiveChunks& live_;
  ChunkReader& reader_;
  ChunkWriter& writer_;
  const IdSet& going_;
  const CollectControl& control_;
  CollectCounters& counters_;
  Bytes plain_;
};

}  // namespace

Result<CompactionResult> compact_packs(const std::shared_ptr<RepositoryDir>& dir, const std::shared_ptr<Index>& index,
                                       const LiveChunks& live, ChunkReader& reader, const std::vector<Id>& packs,
                                       const CompactionOptions& options, const CollectControl& control,
                                       CollectCounters& counters) {
  const IdSet going(packs.begin(), packs.end());
  Result<std::unique_ptr<ChunkWriter>> writer = ChunkWriter::create(
      dir, index,
      {.zstd_level = options.zstd_level, .keys = options.keys, .session = options.session, .excluded = packs});
  if (!writer.ok()) return writer.status();
  std::uint64_t total_bytes = 0;
  for (const Id& pack : packs) {
    const Result<std::optional<FileStatus>> status = dir->status(pack_name(pack));
    if (status.ok() && status.value()) total_bytes += status.value()->size_bytes;
  }
  counters.total_bytes = total_bytes;
  counters.processed_bytes = 0;
  Compaction compaction(*dir, live, reader, **writer, going, control, counters);
  for (const Id& pack : packs) VZV_TRY(compaction.move_from(pack, options.keys));
  live.release_pages();
  VZV_TRY((*writer)->flush());
  counters.processed_bytes = total_bytes;
  return CompactionResult{(*writer)->written_packs(), (*writer)->added_bytes()};
}

}  // namespace vzv
