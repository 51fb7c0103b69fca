// Where every chunk of a repository lies: its segments, and which packs are there.
//
// Invariants: a place is answered only when its pack was in packs/ at the last open or refresh, or was written by this
// process. A segment that is damaged is left out, not fatal: a backup goes on and stores its chunks anew, a restore
// that misses a chunk says which segments were damaged. Segments may vanish at any time, merged into others; what was
// in them is found again by listing once more.
//
// Memory: 32 bytes a pack. Segments, filters included, stay in mapped files of the local cache directory, which belongs
// to this one repository; other processes may use it at the same time.
//
// Thread-safe; lookups run side by side and beside refresh() and add().
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <string>
#include <unordered_set>
#include <vector>

#include "core/base/cancel.h"
#include "core/store/repository_dir.h"
#include "core/store/segment_reader.h"

namespace vzv {

struct ChunkPlace {
  Id pack;
  std::uint32_t ordinal;
  std::uint32_t offset;
  std::uint32_t stored_bytes;
  std::uint32_t plain_bytes;
  ChunkType type;
  Codec codec;
};

struct IndexStatistics {
  std::uint64_t packs = 0;
  std::uint64_t segments = 0;
  std::uint64_t chunks = 0;       // entries of all segments whose pack is there; one in several segments counts in each
  std::uint64_t plain_bytes = 0;  // of those
};

// What an index knew at one moment; the segments stay readable as long as they are held.
struct IndexView {
  std::vector<std::shared_ptr<const SegmentReader>> segments;  // oldest first
  std::vector<Id> packs;                                       // those in packs/, ascending
  std::vector<Status> damaged;                                 // as of damaged_segments()
};

using IdSet = std::unordered_set<Id, IdHash>;

class Index {
 public:
  // Makes `cache_dir` where it is missing (with those above it). Errors of the repository's directories are fatal,
  // damaged segments are not. With a suite, segments of any other count as damaged (E_SUITE_MISMATCH).
  static Result<std::shared_ptr<Index>> open(std::shared_ptr<RepositoryDir> repository, std::string cache_dir,
                                             std::optional<Suite> suite = std::nullopt);

  // The newest place of a chunk; with `excluded`, outside those packs.
  std::optional<ChunkPlace> find(const Id& id, ChunkType type) const { return find(id, type, IdSet()); }
  std::optional<ChunkPlace> find(const Id& id, ChunkType type, const IdSet& excluded) const;
  // All of them, newest first: every place is as good as another, so a reader that meets a damaged one tries the next.
  std::vector<ChunkPlace> find_all(const Id& id, ChunkType type) const;
  // Why find() answers nothing, in words that follow a chunk's name: "is in no segment of the index; …".
  std::string explain_missing(const Id& id, ChunkType type) const;

  // Takes in what appeared and disappeared in packs/ and index/ since.
  Status refresh();
  // For a reader that misses something since its lookup, before which generation() was `generation`: true when what is
  // known has been renewed since, by this call or another, so that it is worth looking again. Readers refresh at most
  // once in kMissRefreshIntervalMs, all of them together: a chunk that is really gone must not cost a listing each
  // time.
  Result<bool> refresh_after_miss(std::uint64_t generation);
  // Grows with each refresh and each segment taken in.
  std::uint64_t generation() const { return generation_.load(std::memory_order_acquire); }
  // Takes in a segment that this process has just written, with the packs that it lists.
  Status add(const Id& segment, ByteSpan bytes);

  // Walks every entry: seconds for a large repository.
  IndexStatistics statistics() const;
  // Segments that are in index/ but not right, as of the last open or refresh; each Status names its segment.
  std::vector<Status> damaged_segments() const;
  // Packs in packs/, in no order.
  std::vector<Id> packs() const;
  // Whether a segment in use is one of packs of this suite.
  bool lists(Suite suite) const;
  // Segments in use, newest first.
  std::vector<Id> segments() const;
  IndexView view() const;
  // The directory of the local copies.
  const std::shared_ptr<RepositoryDir>& cache() const { return cache_; }

 private:
  using Segments = std::vector<std::shared_ptr<const SegmentReader>>;

  Index(std::shared_ptr<RepositoryDir> repository, std::shared_ptr<RepositoryDir> cache, std::optional<Suite> suite)
      : repository_(std::move(repository)), cache_(std::move(cache)), suite_(suite) {}
  bool pack_present(const Id& pack) const;  // REQUIRES: mutex_ held
  // One attempt at a refresh. Segments that vanish meanwhile are added to `vanished`.
  Status refresh_once(std::vector<Id>& vanished);  // REQUIRES: refresh_mutex_ held

  const std::shared_ptr<RepositoryDir> repository_;
  const std::shared_ptr<RepositoryDir> cache_;
  const std::optional<Suite> suite_;
  std::mutex miss_mutex_;  // one refresh_after_miss() at a time; taken before refresh_mutex_
  std::optional<std::chrono::steady_clock::time_point> miss_refreshed_;  // GUARDED BY miss_mutex_
  std::atomic<std::uint64_t> generation_{0};
  std::mutex refresh_mutex_;  // one refresh() or add() at a time; taken before mutex_
  mutable std::shared_mutex mutex_;
  Segments segments_;            // GUARDED BY mutex_; oldest first
  IdSet packs_;                  // GUARDED BY mutex_
  std::vector<Status> damaged_;  // GUARDED BY mutex_
};

}  // namespace vzv
