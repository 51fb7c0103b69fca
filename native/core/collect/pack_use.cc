#include "core/collect/pack_use.h"

#include <algorithm>
#include <limits>

#include "core/collect/segment_cursor.h"
#include "core/store/pack_reader.h"

namespace vzv {

namespace {

constexpr std::uint32_t kNoPack = std::numeric_limits<std::uint32_t>::max();

std::vector<const ListedSegment*> all_segments(const LiveChunks& live) {
  std::vector<const ListedSegment*> segments;
  for (const auto& segment : live.segments()) segments.push_back(segment.get());
  return segments;
}

// For each segment and each pack in its list: the position of that pack in `packs`, kNoPack where it is not there.
std::vector<std::vector<std::uint32_t>> positions_in(const std::vector<Id>& packs,
                                                     const std::vector<const ListedSegment*>& segments) {
  std::vector<std::vector<std::uint32_t>> positions;
  for (const ListedSegment* segment : segments) {
    std::vector<std::uint32_t>& own = positions.emplace_back(segment->view().packs(), kNoPack);
    for (std::uint32_t n = 0; n < own.size(); ++n) {
      const Id id = segment->view().pack(n);
      const auto at = std::lower_bound(packs.begin(), packs.end(), id);
      if (at != packs.end() && *at == id) own[n] = static_cast<std::uint32_t>(at - packs.begin());
    }
  }
  return positions;
}

// Calls `visit(is_live, places)` for each chunk; `places` are positions in `packs`, ascending, each once, with one of
// the entries that say so.
template <typename Visit>
Status for_each_chunk(const LiveChunks& live, const std::vector<Id>& packs, const CancelToken& cancel, Visit visit) {
  const std::vector<const ListedSegment*> segments = all_segments(live);
  const auto positions = positions_in(packs, segments);
  SegmentCursor cursor(segments, cancel);
  std::vector<ListedEntry> entries;
  std::vector<std::pair<std::uint32_t, SegmentEntry>> places;
  for (;;) {
    const Result<bool> more = cursor.next(entries);
    if (!more.ok()) return more.status();
    if (!*more) break;
    bool is_live = false;
    places.clear();
    for (const ListedEntry& listed : entries) {
      is_live = is_live || segments[listed.segment]->test(ListedSegment::kLive, listed.number);
      const std::uint32_t pack = positions[listed.segment][listed.entry.pack];
      if (pack != kNoPack) places.emplace_back(pack, listed.entry);
    }
    std::stable_sort(places.begin(), places.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    places.erase(
        std::unique(places.begin(), places.end(), [](const auto& a, const auto& b) { return a.first == b.first; }),
        places.end());
    visit(is_live, places);
  }
  live.release_pages();
  return {};
}

}  // namespace

Result<std::vector<PackUse>> use_of_packs(RepositoryDir& dir, const LiveChunks& live, const CollectControl& control) {
  std::vector<PackUse> uses(live.packs().size());
  VZV_TRY(for_each_chunk(live, live.packs(), control.cancel, [&](bool is_live, const auto& places) {
    for (const auto& [pack, entry] : places) ++uses[pack].chunks;
    if (!is_live || places.empty()) return;
    ++uses[places.front().first].live_chunks;
    uses[places.front().first].live_stored_bytes += places.front().second.stored_bytes;
  }));
  std::vector<PackUse> there;
  for (std::size_t n = 0; n < uses.size(); ++n) {
    VZV_TRY(control.cancel.status());
    uses[n].id = live.packs()[n];
    const Result<std::optional<FileStatus>> status = dir.status(pack_name(uses[n].id));
    if (!status.ok()) return status.status();
    if (!status.value()) continue;
    uses[n].file_bytes = status.value()->size_bytes;
    there.push_back(uses[n]);
  }
  return there;
}

Result<std::vector<Id>> still_needed(RepositoryDir& dir, const LiveChunks& live, const std::vector<Id>& going,
                                     const CollectControl& control) {
  const std::vector<Id>& packs = live.packs();
  std::vector<bool> goes(packs.size());
  const auto position = [&](const Id& id) { return std::lower_bound(packs.begin(), packs.end(), id) - packs.begin(); };
  std::vector<Id> needed;
  for (const Id& id : going) {
    // What is in one that cannot be seen just now cannot be judged. It may be seen again before it would be deleted.
    if (!live.pack_there(id)) {
      needed.push_back(id);
    } else {
      goes[static_cast<std::size_t>(position(id))] = true;
    }
  }
  VZV_TRY(for_each_chunk(live, packs, control.cancel, [&](bool is_live, const auto& places) {
    if (!is_live || places.empty()) return;
    for (const auto& [pack, entry] : places) {
      if (!goes[pack]) return;
    }
    goes[places.front().first] = false;
    needed.push_back(packs[places.front().first]);
  }));
  if (live.any_missing()) {
    for (const Id& id : going) {
      if (!live.pack_there(id) || !goes[static_cast<std::size_t>(position(id))]) continue;
      const Result<bool> holds = has_missing_chunk(dir, live, id, control);
      const Code code = holds.status().code();
      // A sector that is lost must not stop collections; the pack stays.
      const bool is_unreadable =
          code == Code::E_PACK_DAMAGED || code == Code::E_SUITE_UNKNOWN || code == Code::E_STORAGE_IO;
      if (!holds.ok() && !is_unreadable) return holds.status();
      if (!holds.ok() || *holds) needed.push_back(id);
    }
  }
  std::sort(needed.begin(), needed.end());
  needed.erase(std::unique(needed.begin(), needed.end()), needed.end());
  return needed;
}

Result<bool> has_missing_chunk(RepositoryDir& dir, const LiveChunks& live, const Id& pack,
                               const CollectControl& control) {
  VZV_TRY(control.before_reading(kPackHeaderBytes + kPackTrailerBytes));
  const Result<std::shared_ptr<PackReader>> reader = PackReader::open(dir, pack);
  if (reader.status().code() == Code::E_PACK_MISSING) return false;
  if (!reader.ok()) return reader.status();
  const Result<std::vector<PackEntry>> table = (*reader)->table();
  if (!table.ok()) return table.status();
  return std::any_of(table->begin(), table->end(), [&](const PackEntry& entry) {
    return live.is_missing({entry.id, entry.type});
  });
}

}  // namespace vzv
