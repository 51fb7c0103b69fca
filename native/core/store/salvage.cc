#include "core/store/salvage.h"

#include <utility>
#include <vector>

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

}  // namespace

Result<SalvageResult> salvage_pack(RepositoryDir& dir, const Index& index, const RepositoryKeysPtr& keys,
                                   const Id& pack, ChunkWriter& writer,
                                   const std::function<void(std::uint64_t bytes)>& progress,
                                   const CancelToken& cancel) {
  const Result<std::shared_ptr<PackReader>> reader = PackReader::open(dir, pack, keys);
  const Status readable = reader.ok() ? (*reader)->readable() : reader.status();
  const Code code = readable.code();
  if (code == Code::E_PACK_DAMAGED || code == Code::E_SUITE_MISMATCH) {
    return SalvageResult{0, indexed_entries(index, pack).size()};
  }
  VZV_TRY(readable);

  std::vector<NumberedEntry> entries;
  if (const Result<std::vector<PackEntry>> table = (*reader)->table(); table.ok()) {
    std::uint32_t ordinal = 0;
    for (const PackEntry& entry : *table) entries.push_back({ordinal++, entry});
  } else {
    entries = indexed_entries(index, pack);
  }

  SalvageResult result;
  Bytes plain;
  for (const auto& [ordinal, entry] : entries) {
    VZV_TRY(cancel.status());
    plain.resize(entry.plain_bytes);
    const Status read = (*reader)->read_chunk(entry, ordinal, plain);
    if (read.ok()) {
      VZV_TRY(writer.put(entry.type, entry.id, plain).status());
      ++result.chunks;
    } else if (is_about_the_chunk(read.code())) {
      ++result.lost;
    } else {
      return read;
    }
    if (progress) progress(entry.stored_bytes);
  }
  return result;
}

}  // namespace vzv
