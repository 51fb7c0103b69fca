#include "core/store/salvage.h"

#include <utility>
#include <vector>

#include "core/store/chunk_reader.h"
#include "core/store/lost_range.h"
#include "core/store/pack_reader.h"

namespace vzv {

namespace {

using NumberedEntry = std::pair<std::uint32_t, PackEntry>;  // by its ordinal

// What the index says of a pack whose own table cannot be read. Goes through whole segments.
std::vector<NumberedEntry> indexed_entries(const Index& index, const Id& pack) {
  std::vector<NumberedEntry> found;
  IdSet known;
  for (const auto& segment : index.view().segments) {
    const SegmentView& view = segment->view();
    std::uint32_t position = 0;
    while (position < view.packs() && view.pack(position) != pack) ++position;
    if (position == view.packs()) continue;
    for (std::uint64_t n = 0; n < view.entries(); ++n) {
      const std::optional<SegmentEntry> entry = view.entry(n);
      if (!entry || entry->pack != position || !known.insert(entry->id).second) continue;
      found.push_back({entry->ordinal,
                       {entry->id, entry->type, entry->codec, entry->stored_bytes, entry->plain_bytes, entry->offset}});
    }
    segment->release_pages();
  }
  return found;
}

bool is_about_the_chunk(Code code) { return code == Code::E_CHUNK_DAMAGED || code == Code::E_STORAGE_IO; }

bool is_missing(Code code) { return code == Code::E_CHUNK_MISSING || code == Code::E_PACK_DAMAGED; }

// What of the pack is to be salvaged, and what it is salvaged with.
class Salvage {
 public:
  Salvage(const std::shared_ptr<RepositoryDir>& dir, const std::shared_ptr<Index>& index, const RepositoryKeysPtr& keys,
          ChunkWriter& writer)
      : dir_(dir), others_(dir, index, 0, keys), writer_(writer) {}

  // `pack` is null where nothing in it can be read.
  Status chunk(PackReader* pack, const NumberedEntry& numbered) {
    const auto& [ordinal, entry] = numbered;
    if (pack != nullptr) {
      const Status read = read_chunk(*pack, ordinal, entry);
      if (read.ok()) return put(entry, plain_);
      if (read.code() != Code::E_CHUNK_DAMAGED) return read;
    }
    // Another pack may have it, also one that is about to be deleted since this one was taken to be whole.
    const Result<ChunkReader::Chunk> other = others_.read(entry.id, entry.type);
    if (other.ok()) return put(entry, **other);
    if (!is_about_the_chunk(other.status().code()) && !is_missing(other.status().code())) return other.status();
    ++result_.lost;
    return {};
  }

  const SalvageResult& result() const { return result_; }

 private:
  // Nothing is given up for a storage that is away: E_STORAGE_IO then. A sector that is lost is E_CHUNK_DAMAGED.
  Status read_chunk(const PackReader& pack, std::uint32_t ordinal, const PackEntry& entry) {
    plain_.resize(entry.plain_bytes);
    const Status read = pack.read_chunk(entry, ordinal, plain_);
    if (read.code() != Code::E_STORAGE_IO) return read;
    switch (state_of_range(*dir_, pack.id(), entry.offset, entry.stored_bytes)) {
      case RangeState::kLost:
        return {Code::E_CHUNK_DAMAGED, read.message()};
      case RangeState::kReadable:  // the disk made it after all
        return pack.read_chunk(entry, ordinal, plain_);
      case RangeState::kUnknown:
        break;
    }
    return read;
  }

  Status put(const PackEntry& entry, ByteSpan plain) {
    VZV_TRY(writer_.put(entry.type, entry.id, plain).status());
    ++result_.chunks;
    return {};
  }

  const std::shared_ptr<RepositoryDir> dir_;
  ChunkReader others_;
  ChunkWriter& writer_;
  SalvageResult result_;
  Bytes plain_;
};

}  // namespace

Result<SalvageResult> salvage_pack(const std::shared_ptr<RepositoryDir>& dir, const std::shared_ptr<Index>& index,
                                   const RepositoryKeysPtr& keys, const Id& pack, ChunkWriter& writer,
                                   const std::function<void(std::uint64_t bytes)>& progress,
                                   const CancelToken& cancel) {
  const Result<std::shared_ptr<PackReader>> opened = PackReader::open(*dir, pack, keys);
  const Status readable = opened.ok() ? (*opened)->readable() : opened.status();
  const Code code = readable.code();
  const bool is_broken = code == Code::E_PACK_DAMAGED || code == Code::E_SUITE_MISMATCH ||
                         (code == Code::E_STORAGE_IO && state_of_header(*dir, pack) == RangeState::kLost);
  if (!is_broken) VZV_TRY(readable);
  PackReader* reader = is_broken ? nullptr : opened->get();

  std::vector<NumberedEntry> entries;
  const Result<std::vector<PackEntry>> table = is_broken ? readable : reader->table();
  if (table.ok()) {
    std::uint32_t ordinal = 0;
    for (const PackEntry& entry : *table) entries.push_back({ordinal++, entry});
  } else {
    entries = indexed_entries(*index, pack);
  }

  Salvage salvage(dir, index, keys, writer);
  for (const NumberedEntry& numbered : entries) {
    VZV_TRY(cancel.status());
    VZV_TRY(salvage.chunk(reader, numbered));
    if (progress) progress(numbered.second.stored_bytes);
  }
  return salvage.result();
}

}  // namespace vzv
