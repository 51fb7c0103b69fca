#include "core/collect/live_chunks.h"

#include <algorithm>

#include "core/base/limits.h"
#include "core/collect/segment_cursor.h"

namespace vzv {

namespace {

constexpr std::uint64_t kWordBits = 64;
constexpr std::array kPlanes{ListedSegment::kLive, ListedSegment::kWalkedAboveData,
                             ListedSegment::kWalkedAboveCatalogue};

bool contains(const std::vector<Id>& sorted, const Id& id) {
  return std::binary_search(sorted.begin(), sorted.end(), id);
}

ListedSegment::Plane walked_plane(ChunkType below) {
  return below == ChunkType::kCatalogue ? ListedSegment::kWalkedAboveCatalogue : ListedSegment::kWalkedAboveData;
}

}  // namespace

ListedSegment::ListedSegment(std::shared_ptr<const SegmentReader> reader, const std::vector<Id>& packs)
    : reader_(std::move(reader)), there_(view().packs()) {
  for (Words& words : planes_) words = Words((view().entries() + kWordBits - 1) / kWordBits);
  (void)see_packs(packs);
}

bool ListedSegment::see_packs(const std::vector<Id>& packs) {
  bool any_gone = false;
  for (std::uint32_t n = 0; n < view().packs(); ++n) {
    const bool there = contains(packs, view().pack(n));
    any_gone = any_gone || (there_[n] && !there);
    there_[n] = there;
  }
  return any_gone;
}

bool ListedSegment::test(Plane plane, std::uint64_t entry) const {
  return (planes_[plane][entry / kWordBits].load(std::memory_order_relaxed) >> entry % kWordBits & 1) != 0;
}

bool ListedSegment::set(Plane plane, std::uint64_t entry) {
  const std::uint64_t bit = std::uint64_t{1} << entry % kWordBits;
  return (planes_[plane][entry / kWordBits].fetch_or(bit, std::memory_order_relaxed) & bit) == 0;
}

void ListedSegment::clear(Plane plane) {
  for (auto& word : planes_[plane]) word.store(0, std::memory_order_relaxed);
}

Status LiveChunks::status() const {
  std::lock_guard lock(missing_mutex_);
  return status_;
}

Status LiveChunks::refresh() {
  VZV_TRY(status());
  VZV_TRY(index_->refresh());
  IndexView now = index_->view();
  if (!now.damaged.empty()) {
    return {Code::E_GC_INCOMPLETE, "what is in use cannot be found out: " + now.damaged.front().message()};
  }

  const auto known = [&](const SegmentReader& reader) {
    return std::find_if(segments_.begin(), segments_.end(), [&](const auto& segment) {
      return segment != nullptr && segment->reader().id() == reader.id();
    });
  };
  std::vector<const ListedSegment*> before;
  for (const auto& segment : segments_) before.push_back(segment.get());
  std::vector<std::unique_ptr<ListedSegment>> segments(now.segments.size());
  std::vector<ListedSegment*> fresh;
  for (std::size_t n = 0; n < segments.size(); ++n) {
    if (known(*now.segments[n]) != segments_.end()) continue;
    segments[n] = std::make_unique<ListedSegment>(now.segments[n], now.packs);
    fresh.push_back(segments[n].get());
  }
  VZV_TRY(inherit(fresh, before));

  std::vector<const ListedSegment*> lost_packs;
  for (std::size_t n = 0; n < segments.size(); ++n) {
    if (segments[n] != nullptr) continue;
    segments[n] = std::move(*known(*now.segments[n]));
    if (segments[n]->see_packs(now.packs)) lost_packs.push_back(segments[n].get());
  }
  // What is left of the old ones is gone from index/.
  segments.swap(segments_);
  packs_ = std::move(now.packs);
  {
    std::lock_guard lock(missing_mutex_);
    std::erase_if(missing_, [&](const ChunkKey& key) { return has_place_outside(key, {}); });
  }
  for (const auto& gone : segments) {
    if (gone != nullptr) VZV_TRY(find_missing(*gone, true));
  }
  for (const ListedSegment* segment : lost_packs) VZV_TRY(find_missing(*segment, false));
  release_pages();
  return {};
}

Status LiveChunks::inherit(const std::vector<ListedSegment*>& fresh,
                           const std::vector<const ListedSegment*>& before) const {
  if (fresh.empty() || (before.empty() && !any_missing())) return {};
  std::uint64_t new_entries = 0, old_entries = 0;
  for (const ListedSegment* segment : fresh) new_entries += segment->view().entries();
  for (const ListedSegment* segment : before) old_entries += segment->view().entries();
  // Few are looked up one by one; many are met in one pass over all.
  if (new_entries * before.size() <= old_entries) {
    for (ListedSegment* segment : fresh) inherit_by_lookup(*segment, before);
    return {};
  }
  std::vector<const ListedSegment*> all = before;
  all.insert(all.end(), fresh.begin(), fresh.end());
  const CancelToken never;
  SegmentCursor cursor(all, never);
  std::vector<ListedEntry> entries;
  for (;;) {
    const Result<bool> more = cursor.next(entries);
    if (!more.ok()) return more.status();
    if (!*more) return {};
    for (const auto plane : kPlanes) {
      bool is_set = plane == ListedSegment::kLive && is_missing(entries.front().entry.key());
      for (const ListedEntry& listed : entries) {
        is_set = is_set || (listed.segment < before.size() && before[listed.segment]->test(plane, listed.number));
      }
      if (!is_set) continue;
      for (const ListedEntry& listed : entries) {
        if (listed.segment >= before.size()) fresh[listed.segment - before.size()]->set(plane, listed.number);
      }
    }
  }
}

void LiveChunks::inherit_by_lookup(ListedSegment& fresh, const std::vector<const ListedSegment*>& before) const {
  for (std::uint64_t n = 0; n < fresh.view().entries(); ++n) {
    const std::optional<ChunkKey> key = fresh.view().key(n);
    if (!key) continue;
    if (is_missing(*key)) fresh.set(ListedSegment::kLive, n);
    for (const ListedSegment* segment : before) {
      const std::optional<std::uint64_t> at = segment->view().position(key->id, key->type);
      if (!at) continue;
      for (const auto plane : kPlanes) {
        if (segment->test(plane, *at)) fresh.set(plane, n);
      }
    }
  }
}

// Keeps those of its live chunks in mind that have no place any more.
Status LiveChunks::find_missing(const ListedSegment& segment, bool is_gone) {
  for (std::uint64_t n = 0; n < segment.view().entries(); ++n) {
    if (!segment.test(ListedSegment::kLive, n)) continue;
    const std::optional<SegmentEntry> entry = segment.view().entry(n);
    if (!entry) {
      std::lock_guard lock(missing_mutex_);
      status_ = {Code::E_SEGMENT_DAMAGED,
                 "the local copy of " + describe_segment(segment.reader().id()) + " was changed"};
      return status_;
    }
    if (!is_gone && segment.pack_there(entry->pack)) continue;
    if (!has_place_outside(entry->key(), {})) VZV_TRY(add_missing(entry->key()));
  }
  return {};
}

Status LiveChunks::add_missing(const ChunkKey& key) {
  std::lock_guard lock(missing_mutex_);
  if (missing_.size() >= limits::kMissingChunksMax && !missing_.contains(key)) {
    status_ = {Code::E_GC_INCOMPLETE, "more than " + std::to_string(limits::kMissingChunksMax) +
                                          " chunks are missing that backups refer to, such as " +
                                          describe_chunk(key.id, key.type)};
    return status_;
  }
  missing_.insert(key);
  return {};
}

bool LiveChunks::pack_there(const Id& pack) const { return contains(packs_, pack); }

Result<bool> LiveChunks::mark(const ChunkKey& key) {
  std::optional<bool> is_new;
  bool has_place = false;
  for (const auto& segment : segments_) {
    const std::optional<std::uint64_t> at = segment->view().position(key.id, key.type);
    if (!at) continue;
    const bool was_clear = segment->set(ListedSegment::kLive, *at);
    // The first of the segments that list it decides who was first. Who was not has nothing to do: the other bits are
    // set, or about to be.
    if (!is_new && !was_clear) return false;
    is_new = true;
    const std::optional<SegmentEntry> entry = segment->view().entry(*at);
    has_place = has_place || (entry && segment->pack_there(entry->pack));
  }
  if (has_place) return true;
  if (!is_new) is_new = !is_missing(key);
  VZV_TRY(add_missing(key));
  return *is_new;
}

Result<bool> LiveChunks::begin_walk(const Id& node, ChunkType below) {
  const ChunkKey key{node, ChunkType::kMapNode};
  VZV_TRY(mark(key).status());
  if (!has_place_outside(key, {})) {
    return Status(Code::E_GC_INCOMPLETE,
                  describe_chunk(node, key.type) + " " + index_->explain_missing(node, key.type));
  }
  std::optional<bool> is_first;
  for (const auto& segment : segments_) {
    const std::optional<std::uint64_t> at = segment->view().position(node, key.type);
    if (!at) continue;
    const bool is_new = segment->set(walked_plane(below), *at);
    if (!is_first) is_first = is_new;
  }
  return is_first.value_or(false);
}

void LiveChunks::forget_walked() {
  for (const auto& segment : segments_) {
    segment->clear(ListedSegment::kWalkedAboveData);
    segment->clear(ListedSegment::kWalkedAboveCatalogue);
  }
}

bool LiveChunks::live(const ChunkKey& key) const {
  for (const auto& segment : segments_) {
    const std::optional<std::uint64_t> at = segment->view().position(key.id, key.type);
    if (at) return segment->test(ListedSegment::kLive, *at);
  }
  return is_missing(key);
}

bool LiveChunks::has_place_outside(const ChunkKey& key, const IdSet& going) const {
  for (const auto& segment : segments_) {
    const std::optional<SegmentEntry> entry = segment->view().find(key.id, key.type);
    if (!entry || !segment->pack_there(entry->pack)) continue;
    if (going.empty() || !going.contains(segment->view().pack(entry->pack))) return true;
  }
  return false;
}

bool LiveChunks::is_missing(const ChunkKey& key) const {
  std::lock_guard lock(missing_mutex_);
  return missing_.contains(key);
}

bool LiveChunks::any_missing() const {
  std::lock_guard lock(missing_mutex_);
  return !missing_.empty();
}

void LiveChunks::release_pages() const {
  for (const auto& segment : segments_) segment->reader().release_pages();
}

}  // namespace vzv
