#include "core/collect/segment_merge.h"

#include <algorithm>
#include <numeric>

#include "core/base/limits.h"
#include "core/base/sha256.h"
#include "core/collect/pack_use.h"
#include "core/collect/segment_cursor.h"
#include "core/store/pack_reader.h"
#include "core/store/segment_writer.h"

namespace vzv {

namespace {

using Group = std::vector<const ListedSegment*>;

// Both copies of one new segment, written at once; its name is known in the end.
class SegmentOutput {
 public:
  static Result<SegmentOutput> begin(RepositoryDir& dir, RepositoryDir& cache) {
    Result<std::unique_ptr<NewFile>> file = dir.create();
    if (!file.ok()) return file.status();
    SegmentOutput output(std::move(*file));
    Result<std::unique_ptr<NewFile>> copy = cache.create();
    if (copy.ok()) output.copy_ = std::move(*copy);
    return output;
  }

  ByteWriter& writer() { return *writer_; }

  // To be called now and then: hands over what was written.
  Status flush(std::size_t at_least = 1) {
    if (buffer_->size() < at_least) return {};
    hash_->update(*buffer_);
    VZV_TRY(file_->append(*buffer_));
    // The copy saves a read; what is missing from it is read from the repository.
    if (copy_ != nullptr && !copy_->append(*buffer_).ok()) copy_ = nullptr;
    buffer_->clear();
    return {};
  }

  Result<Id> finish() {
    VZV_TRY(flush());
    const Id id = hash_->finish();
    VZV_TRY(file_->publish(segment_name(id)));
    if (copy_ != nullptr) (void)copy_->publish_cached(id.hex());
    return id;
  }

 private:
  explicit SegmentOutput(std::unique_ptr<NewFile> file) : file_(std::move(file)) {}

  std::unique_ptr<NewFile> file_;
  std::unique_ptr<NewFile> copy_;
  std::unique_ptr<Sha256> hash_ = std::make_unique<Sha256>();
  std::unique_ptr<Bytes> buffer_ = std::make_unique<Bytes>();
  std::unique_ptr<ByteWriter> writer_ = std::make_unique<ByteWriter>(*buffer_);
};

class GroupMerge {
 public:
  GroupMerge(const Group& group, const IdSet& going, const CollectControl& control, CollectCounters& counters)
      : group_(group), control_(control), counters_(counters) {
    for (const ListedSegment* segment : group_) {
      for (std::uint32_t n = 0; n < segment->view().packs(); ++n) packs_.push_back(segment->view().pack(n));
    }
    std::sort(packs_.begin(), packs_.end());
    packs_.erase(std::unique(packs_.begin(), packs_.end()), packs_.end());
    for (const ListedSegment* segment : group_) {
      std::vector<std::uint32_t>& own = positions_.emplace_back();
      for (std::uint32_t n = 0; n < segment->view().packs(); ++n) {
        const auto at = std::lower_bound(packs_.begin(), packs_.end(), segment->view().pack(n));
        own.push_back(static_cast<std::uint32_t>(at - packs_.begin()));
      }
    }
    for (const Id& pack : packs_) goes_.push_back(going.contains(pack));
  }

  // Appends the names of the new segments.
  Status run(RepositoryDir& dir, RepositoryDir& cache, std::vector<Id>& added) {
    VZV_TRY(for_each_chunk([&](const std::vector<SegmentEntry>& places) -> Status {
      if (places.size() > outputs_.size()) outputs_.resize(places.size(), Output(packs_.size()));
      for (std::size_t n = 0; n < places.size(); ++n) {
        ++outputs_[n].entries;
        outputs_[n].lists[places[n].pack] = true;
      }
      return {};
    }));
    for (std::size_t n = 0; n < outputs_.size(); ++n) {
      const Result<Id> id = write(dir, cache, n);
      if (!id.ok()) return id.status();
      added.push_back(*id);
    }
    return {};
  }

 private:
  // The n-th segment lists the n-th place of each chunk.
  struct Output {
    explicit Output(std::size_t packs) : lists(packs) {}
    std::uint64_t entries = 0;
    std::vector<bool> lists;  // by position in packs_
  };

  // Calls `visit` with the places of each chunk, each pack once, in the order of the packs; `pack` is a position in
  // packs_.
  template <typename Visit>
  Status for_each_chunk(Visit visit) {
    SegmentCursor cursor(group_, control_.cancel);
    std::vector<ListedEntry> entries;
    std::vector<SegmentEntry> places;
    for (;;) {
      const Result<bool> more = cursor.next(entries);
      if (!more.ok()) return more.status();
      if (!*more) return {};
      places.clear();
      for (ListedEntry& listed : entries) {
        listed.entry.pack = positions_[listed.segment][listed.entry.pack];
        if (!goes_[listed.entry.pack]) places.push_back(listed.entry);
      }
      std::stable_sort(places.begin(), places.end(), [](const auto& a, const auto& b) { return a.pack < b.pack; });
      const auto same_pack = [](const auto& a, const auto& b) { return a.pack == b.pack; };
      places.erase(std::unique(places.begin(), places.end(), same_pack), places.end());
      VZV_TRY(visit(places));
      counters_.processed_bytes.fetch_add(entries.size() * kSegmentEntryBytes, std::memory_order_relaxed);
    }
  }

  Result<Id> write(RepositoryDir& dir, RepositoryDir& cache, std::size_t n) {
    const Output& output = outputs_[n];
    Result<SegmentOutput> file = SegmentOutput::begin(dir, cache);
    if (!file.ok()) return file.status();
    const auto listed = static_cast<std::uint32_t>(std::count(output.lists.begin(), output.lists.end(), true));
    file->writer().bytes(encode_segment_header({group_.front()->view().suite(), new_salt(), listed, output.entries}));
    std::vector<std::uint32_t> own(packs_.size());
    std::uint32_t next = 0;
    for (std::size_t pack = 0; pack < packs_.size(); ++pack) {
      if (!output.lists[pack]) continue;
      own[pack] = next++;
      file->writer().id(packs_[pack]);
      VZV_TRY(file->flush(limits::kWriteBufferBytes));
    }
    SegmentFilter filter(output.entries);
    VZV_TRY(for_each_chunk([&](const std::vector<SegmentEntry>& places) -> Status {
      if (places.size() <= n) return {};
      SegmentEntry entry = places[n];
      entry.pack = own[entry.pack];
      encode_segment_entry(entry, file->writer());
      filter.add(entry.id);
      return file->flush(limits::kWriteBufferBytes);
    }));
    file->writer().bytes(filter.bytes());
    return file->finish();
  }

  const Group& group_;
  const CollectControl& control_;
  CollectCounters& counters_;
  std::vector<Id> packs_;  // of all of the group, ascending
  std::vector<bool> goes_;
  std::vector<std::vector<std::uint32_t>> positions_;  // in packs_, by segment and its own position
  std::vector<Output> outputs_;
};

bool lists_any(const ListedSegment& segment, const IdSet& packs) {
  for (std::uint32_t n = 0; n < segment.view().packs(); ++n) {
    if (packs.contains(segment.view().pack(n))) return true;
  }
  return false;
}

std::vector<Group> choose_groups(const LiveChunks& live, const IdSet& going) {
  std::vector<Group> groups;
  for (const Suite suite : {Suite::kNone, Suite::kAes256Gcm}) {
    Group all;
    std::vector<std::uint64_t> entries;
    for (const auto& segment : live.segments()) {
      if (segment->view().suite() != suite) continue;
      all.push_back(segment.get());
      entries.push_back(segment->view().entries());
    }
    Group merged;
    for (const std::size_t n : choose_merge(entries)) merged.push_back(std::exchange(all[n], nullptr));
    if (!merged.empty()) groups.push_back(std::move(merged));
    for (const ListedSegment* segment : all) {
      if (segment != nullptr && lists_any(*segment, going)) groups.push_back({segment});
    }
  }
  return groups;
}

// Packs that no segment lists, though they hold live chunks that are listed nowhere: their segment was lost.
Status list_again(RepositoryDir& dir, const LiveChunks& live, const IdSet& going, const CollectControl& control,
                  std::vector<Id>& added) {
  if (!live.any_missing()) return {};
  IdSet listed;
  for (const auto& segment : live.segments()) {
    for (std::uint32_t n = 0; n < segment->view().packs(); ++n) listed.insert(segment->view().pack(n));
  }
  for (const Id& id : live.packs()) {
    if (listed.contains(id) || going.contains(id)) continue;
    const Result<bool> holds = has_missing_chunk(dir, live, id, control);
    if (!holds.ok() || !*holds) continue;  // verification tells what is wrong with a pack
    const Result<std::shared_ptr<PackReader>> pack = PackReader::open(dir, id);
    if (!pack.ok()) continue;
    Result<std::vector<PackEntry>> table = (*pack)->table();
    if (!table.ok()) continue;
    const FinishedPack found{id, (*pack)->file_bytes(), std::move(*table)};
    const Result<WrittenSegment> segment = write_segment(dir, (*pack)->header().suite, {found});
    if (!segment.ok()) return segment.status();
    added.push_back(segment->id);
  }
  return {};
}

}  // namespace

std::vector<std::size_t> choose_merge(const std::vector<std::uint64_t>& entries) {
  std::vector<std::size_t> order(entries.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return entries[a] < entries[b]; });
  // As far as there is one that is not much larger than all below it together.
  std::size_t chosen = 0;
  std::uint64_t below = 0;
  for (std::size_t n = 0; n < order.size(); ++n) {
    const std::uint64_t own = entries[order[n]];
    if (below + own > limits::kMergedSegmentEntries) break;
    if (n > 0 && own < limits::kMergeFactor * below) chosen = n + 1;
    below += own;
  }
  order.resize(chosen);
  std::sort(order.begin(), order.end());
  return order;
}

Result<MergeResult> merge_segments(RepositoryDir& dir, RepositoryDir& cache, const LiveChunks& live,
                                   const std::vector<Id>& going, const CollectControl& control,
                                   CollectCounters& counters) {
  const IdSet goes(going.begin(), going.end());
  const std::vector<Group> groups = choose_groups(live, goes);
  MergeResult result;
  std::uint64_t total_bytes = 0;
  for (const Group& group : groups) {
    // Once to count, once to write.
    for (const ListedSegment* segment : group) total_bytes += 2 * segment->view().entries() * kSegmentEntryBytes;
  }
  counters.total_bytes = total_bytes;
  counters.processed_bytes = 0;
  for (const Group& group : groups) {
    VZV_TRY(GroupMerge(group, goes, control, counters).run(dir, cache, result.added));
    for (const ListedSegment* segment : group) result.replaced.push_back(segment->reader().id());
  }
  VZV_TRY(list_again(dir, live, goes, control, result.added));
  live.release_pages();
  return result;
}

}  // namespace vzv
