#include "core/store/index_rebuild.h"

#include <algorithm>

#include "core/base/limits.h"
#include "core/store/pack_reader.h"
#include "core/store/segment_reader.h"
#include "core/store/segment_writer.h"

namespace vzv {

namespace {

// What says something about one pack; everything else ends the work.
bool is_of_pack(Code code) {
  return code == Code::E_PACK_DAMAGED || code == Code::E_SUITE_UNKNOWN || code == Code::E_SUITE_MISMATCH ||
         code == Code::E_STORAGE_IO;
}

class Rebuild {
 public:
  Rebuild(RepositoryDir& dir, Index& index, Suite suite, const std::function<void(const RebuildProgress&)>& progress,
          const CancelToken& cancel)
      : dir_(dir), index_(index), suite_(suite), progress_(progress), cancel_(cancel) {}

  Result<RebuildResult> run() {
    // Before the packs: what a writer lists later is not ours to judge.
    VZV_TRY(list_segments());
    VZV_TRY(index_.refresh());
    std::vector<Id> packs = index_.packs();
    std::sort(packs.begin(), packs.end());
    RebuildProgress state{packs.size(), 0};
    for (const Id& pack : packs) {
      VZV_TRY(cancel_.status());
      VZV_TRY(take(pack));
      ++state.processed_packs;
      if (progress_) progress_(state);
    }
    VZV_TRY(write_batch());
    for (const Id& segment : old_) VZV_TRY(judge(segment));
    return std::move(result_);
  }

 private:
  Status list_segments() {
    const Result<std::optional<std::vector<DirectoryEntry>>> files = dir_.list("index");
    if (!files.ok()) return files.status();
    if (!*files) return {};
    for (const DirectoryEntry& file : **files) {
      const std::optional<Id> id = Id::from_hex(file.name);
      if (id) old_.push_back(*id);
    }
    return {};
  }

  Status take(const Id& pack) {
    const Result<std::shared_ptr<PackReader>> reader = PackReader::open(dir_, pack);
    if (reader.status().code() == Code::E_PACK_MISSING) return {};
    Result<std::vector<PackEntry>> table = reader.ok() ? (*reader)->table() : reader.status();
    if (table.ok() && (*reader)->header().suite != suite_) {
      table = Status(Code::E_SUITE_MISMATCH, describe_pack(pack) + " (" + pack_name(pack) +
                                                 ") is not encrypted as the repository is: it is not one of its packs");
    }
    if (!table.ok()) {
      if (!is_of_pack(table.status().code())) return table.status();
      if (result_.damages.size() < limits::kDamagesListedMax) result_.damages.push_back(table.status());
      return {};
    }
    listed_.insert(pack);
    ++result_.packs;
    result_.chunks += table->size();
    batch_entries_ += table->size();
    batch_.push_back({pack, (*reader)->file_bytes(), std::move(*table)});
    return batch_entries_ >= limits::kSegmentEntries ? write_batch() : Status();
  }

  Status write_batch() {
    if (batch_.empty()) return {};
    const Result<WrittenSegment> segment = write_segment(dir_, suite_, batch_);
    if (!segment.ok()) return segment.status();
    result_.added.push_back(segment->id);
    batch_.clear();
    batch_entries_ = 0;
    return index_.add(segment->id, segment->bytes);
  }

  Status judge(const Id& id) {
    VZV_TRY(cancel_.status());
    const Result<std::shared_ptr<const SegmentReader>> segment = SegmentReader::open(dir_, *index_.cache(), id);
    const Code code = segment.status().code();
    if (code == Code::E_SEGMENT_DAMAGED || code == Code::E_SUITE_UNKNOWN || code == Code::E_STORAGE_IO) {
      result_.replaced.push_back(id);
      return {};
    }
    if (!segment.ok()) return segment.status();
    if (*segment == nullptr) return {};
    const SegmentView& view = (*segment)->view();
    for (std::uint32_t n = 0; n < view.packs(); ++n) {
      const Id pack = view.pack(n);
      if (listed_.contains(pack)) continue;
      const Result<std::optional<FileStatus>> status = dir_.status(pack_name(pack));
      if (!status.ok()) return status.status();
      // Written since, or its table is damaged: the entries are all that is known of it.
      if (status.value() && view.suite() == suite_) return {};
    }
    result_.replaced.push_back(id);
    return {};
  }

  RepositoryDir& dir_;
  Index& index_;
  const Suite suite_;
  const std::function<void(const RebuildProgress&)>& progress_;
  const CancelToken& cancel_;
  std::vector<Id> old_;
  IdSet listed_;
  std::vector<FinishedPack> batch_;
  std::size_t batch_entries_ = 0;
  RebuildResult result_;
};

}  // namespace

Result<RebuildResult> rebuild_index(RepositoryDir& dir, Index& index, Suite suite,
                                    const std::function<void(const RebuildProgress&)>& progress,
                                    const CancelToken& cancel) {
  return Rebuild(dir, index, suite, progress, cancel).run();
}

}  // namespace vzv
