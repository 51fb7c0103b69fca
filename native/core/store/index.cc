#include "core/store/index.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <thread>

#include "core/base/limits.h"

namespace vzv {

namespace {

// Like mkdir -p: the cache is a path of its own, not a name in a repository.
Status make_path(const std::string& path) {
  for (std::size_t end = 0; end != std::string::npos;) {
    end = path.find('/', end + 1);
    const std::string prefix = path.substr(0, end);
    if (::mkdir(prefix.c_str(), 0700) == 0 || errno == EEXIST) continue;
    return storage_errno(errno, "making the index cache " + path);
  }
  return {};
}

// Files whose names are ids; whatever else lies there is not ours to judge.
Result<std::vector<Id>> list_ids(RepositoryDir& dir, std::string_view name) {
  Result<std::optional<std::vector<DirectoryEntry>>> entries = dir.list(name);
  if (!entries.ok()) return entries.status();
  std::vector<Id> ids;
  if (!*entries) return ids;
  for (const DirectoryEntry& entry : **entries) {
    const std::optional<Id> id = Id::from_hex(entry.name);
    if (id && entry.kind == FileKind::kFile) ids.push_back(*id);
  }
  return ids;
}

Result<IdSet> list_packs(RepositoryDir& dir) {
  Result<std::optional<std::vector<DirectoryEntry>>> prefixes = dir.list("packs");
  if (!prefixes.ok()) return prefixes.status();
  IdSet packs;
  if (!*prefixes) return packs;
  for (const DirectoryEntry& prefix : **prefixes) {
    if (prefix.kind != FileKind::kDirectory) continue;
    Result<std::vector<Id>> ids = list_ids(dir, "packs/" + prefix.name);
    if (!ids.ok()) return ids.status();
    // A pack in another directory than its own would not be found by its name.
    for (const Id& id : *ids) {
      if (id.hex().compare(0, 2, prefix.name) == 0) packs.insert(id);
    }
  }
  return packs;
}

// What processes that are gone left unfinished.
void remove_leftovers(RepositoryDir& cache) {
  const auto now =
      std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch());
  Result<std::optional<std::vector<DirectoryEntry>>> entries = cache.list("tmp");
  if (!entries.ok() || !*entries) return;
  for (const DirectoryEntry& entry : **entries) {
    const std::string name = "tmp/" + entry.name;
    Result<std::optional<FileStatus>> status = cache.status(name);
    const bool old = status.ok() && *status && now.count() - (*status)->modified_ms > limits::kCacheLeftoverAgeMs;
    if (old) (void)cache.remove(name);
  }
}

ChunkPlace place_of(const SegmentEntry& entry, const Id& pack) {
  return {pack, entry.ordinal, entry.offset, entry.stored_bytes, entry.plain_bytes, entry.type, entry.codec};
}

// Hands the places of a chunk, newest first, to `visit` for as long as it answers true.
template <typename Visit>
void each_place(const std::vector<std::shared_ptr<const SegmentReader>>& segments, const ChunkKey& key, Visit visit) {
  for (auto segment = segments.rbegin(); segment != segments.rend(); ++segment) {
    const SegmentView& view = (*segment)->view();
    const std::optional<SegmentEntry> entry = view.find(key.id, key.type);
    if (entry && !visit(place_of(*entry, view.pack(entry->pack)))) return;
  }
}

}  // namespace

Result<std::shared_ptr<Index>> Index::open(std::shared_ptr<RepositoryDir> repository, std::string cache_dir,
                                           std::optional<Suite> suite) {
  VZV_TRY(make_path(cache_dir));
  Result<std::shared_ptr<RepositoryDir>> cache = RepositoryDir::open(std::move(cache_dir));
  if (!cache.ok()) return cache.status();
  remove_leftovers(**cache);
  std::shared_ptr<Index> index(new Index(std::move(repository), std::move(*cache), suite));
  VZV_TRY(index->refresh());
  return index;
}

Status Index::refresh() {
  std::lock_guard refreshing(refresh_mutex_);
  std::vector<Id> vanished;
  VZV_TRY(refresh_once(vanished));
  // A collector has replaced those by others, which a new listing shows. A network file system may serve an old listing
  // for a while.
  for (const int pause_ms : {0, 50, 200, 800}) {
    if (vanished.empty()) return {};
    std::this_thread::sleep_for(std::chrono::milliseconds(pause_ms));
    vanished.clear();
    VZV_TRY(refresh_once(vanished));
  }
  std::unique_lock lock(mutex_);
  for (const Id& id : vanished) {
    damaged_.push_back(
        {Code::E_SEGMENT_DAMAGED, describe_segment(id) + " is listed in index/, but there is no " + segment_name(id)});
  }
  return {};
}

Result<bool> Index::refresh_after_miss(std::uint64_t generation) {
  std::lock_guard lock(miss_mutex_);
  if (this->generation() != generation) return true;
  const auto now = std::chrono::steady_clock::now();
  if (miss_refreshed_ && now - *miss_refreshed_ < std::chrono::milliseconds(limits::kMissRefreshIntervalMs)) {
    return false;
  }
  VZV_TRY(refresh());
  miss_refreshed_ = std::chrono::steady_clock::now();
  return true;
}

Status Index::refresh_once(std::vector<Id>& vanished) {
  // The cache is listed before the repository, so that a segment that another process adds in between is not taken for
  // one that is gone; segments before packs, so that the packs of every listed segment are seen.
  Result<std::vector<Id>> cached = list_ids(*cache_, "");
  if (!cached.ok()) return cached.status();
  Result<std::vector<Id>> listed = list_ids(*repository_, "index");
  if (!listed.ok()) return listed.status();
  Result<IdSet> packs = list_packs(*repository_);
  if (!packs.ok()) return packs.status();

  const IdSet wanted(listed->begin(), listed->end());
  Segments segments;
  IdSet known;
  {
    std::shared_lock lock(mutex_);
    for (const auto& segment : segments_) {
      if (wanted.contains(segment->id())) segments.push_back(segment);
      known.insert(segment->id());
    }
  }
  std::vector<Status> damaged;
  for (const Id& id : *listed) {
    if (known.contains(id)) continue;
    Result<std::shared_ptr<const SegmentReader>> segment = SegmentReader::open(*repository_, *cache_, id);
    if (segment.ok() && *segment != nullptr && suite_ && (*segment)->view().suite() != *suite_) {
      damaged.push_back({Code::E_SUITE_MISMATCH, describe_segment(id) + " (" + segment_name(id) +
                                                     ") lists packs of another suite than the repository has"});
    } else if (segment.ok()) {
      if (*segment != nullptr) {
        segments.push_back(std::move(*segment));
      } else {
        vanished.push_back(id);
      }
    } else if (segment.status().code() == Code::E_SEGMENT_DAMAGED || segment.status().code() == Code::E_SUITE_UNKNOWN) {
      damaged.push_back(segment.status());
    } else {
      return segment.status();
    }
  }
  std::stable_sort(segments.begin(), segments.end(),
                   [](const auto& a, const auto& b) { return a->copied_ms() < b->copied_ms(); });
  {
    std::unique_lock lock(mutex_);
    segments_.swap(segments);
    packs_.swap(*packs);
    damaged_.swap(damaged);
  }
  generation_.fetch_add(1, std::memory_order_acq_rel);
  for (const Id& id : *cached) {
    if (!wanted.contains(id)) (void)cache_->remove(id.hex());
  }
  return {};
}

Status Index::add(const Id& segment, ByteSpan bytes) {
  std::lock_guard refreshing(refresh_mutex_);
  Result<std::shared_ptr<const SegmentReader>> reader = SegmentReader::put(*cache_, segment, bytes);
  if (!reader.ok()) return reader.status();
  if (*reader == nullptr)
    return {Code::E_STORAGE_IO, "the index cache " + cache_->path() + " does not keep what is written to it"};
  const SegmentView& view = (*reader)->view();
  std::unique_lock lock(mutex_);
  for (std::uint32_t n = 0; n < view.packs(); ++n) packs_.insert(view.pack(n));
  const bool known =
      std::any_of(segments_.begin(), segments_.end(), [&](const auto& other) { return other->id() == segment; });
  if (!known) segments_.push_back(std::move(*reader));
  generation_.fetch_add(1, std::memory_order_acq_rel);
  return {};
}

bool Index::pack_present(const Id& pack) const { return packs_.contains(pack); }

std::optional<ChunkPlace> Index::find(const Id& id, ChunkType type, const IdSet& excluded) const {
  std::optional<ChunkPlace> found;
  std::shared_lock lock(mutex_);
  each_place(segments_, {id, type}, [&](const ChunkPlace& place) {
    if (pack_present(place.pack) && !excluded.contains(place.pack)) found = place;
    return !found;
  });
  return found;
}

std::vector<ChunkPlace> Index::find_all(const Id& id, ChunkType type) const {
  std::vector<ChunkPlace> places;
  std::shared_lock lock(mutex_);
  each_place(segments_, {id, type}, [&](const ChunkPlace& place) {
    if (pack_present(place.pack)) places.push_back(place);
    return true;
  });
  return places;
}

std::string Index::explain_missing(const Id& id, ChunkType type) const {
  std::string text = "is in no segment of the index";
  std::shared_lock lock(mutex_);
  for (auto segment = segments_.rbegin(); segment != segments_.rend(); ++segment) {
    const std::optional<SegmentEntry> entry = (*segment)->view().find(id, type);
    if (!entry) continue;
    text = "lies in " + describe_pack((*segment)->view().pack(entry->pack)) + ", which is missing from packs/";
    break;
  }
  if (!damaged_.empty()) {
    text += "; " + damaged_.front().message();
    if (damaged_.size() > 1) text += " (and " + std::to_string(damaged_.size() - 1) + " more damaged segments)";
  }
  return text;
}

IndexStatistics Index::statistics() const {
  Segments segments;
  IdSet packs;
  {
    std::shared_lock lock(mutex_);
    segments = segments_;
    packs = packs_;
  }
  IndexStatistics statistics;
  statistics.packs = packs.size();
  statistics.segments = segments.size();
  for (const auto& segment : segments) {
    const SegmentView& view = segment->view();
    std::vector<bool> present(view.packs());
    for (std::uint32_t n = 0; n < view.packs(); ++n) present[n] = packs.contains(view.pack(n));
    for (std::uint64_t n = 0; n < view.entries(); ++n) {
      const std::optional<SegmentEntry> entry = view.entry(n);
      if (!entry || !present[entry->pack]) continue;
      ++statistics.chunks;
      statistics.plain_bytes += entry->plain_bytes;
    }
  }
  return statistics;
}

std::vector<Status> Index::damaged_segments() const {
  std::shared_lock lock(mutex_);
  return damaged_;
}

std::vector<Id> Index::packs() const {
  std::shared_lock lock(mutex_);
  return {packs_.begin(), packs_.end()};
}

bool Index::lists(Suite suite) const {
  std::shared_lock lock(mutex_);
  return std::any_of(segments_.begin(), segments_.end(),
                     [&](const auto& segment) { return segment->view().suite() == suite; });
}

IndexView Index::view() const {
  IndexView view;
  {
    std::shared_lock lock(mutex_);
    view.segments = segments_;
    view.packs.assign(packs_.begin(), packs_.end());
    view.damaged = damaged_;
  }
  std::sort(view.packs.begin(), view.packs.end());
  return view;
}

std::vector<Id> Index::segments() const {
  std::shared_lock lock(mutex_);
  std::vector<Id> ids;
  for (auto segment = segments_.rbegin(); segment != segments_.rend(); ++segment) ids.push_back((*segment)->id());
  return ids;
}

}  // namespace vzv
