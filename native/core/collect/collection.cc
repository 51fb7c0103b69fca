#include "core/collect/collection.h"

namespace vzv {

Result<std::unique_ptr<Collection>> Collection::create(std::shared_ptr<RepositoryDir> dir, std::shared_ptr<Index> index,
                                                       CompactionOptions options) {
  Result<std::shared_ptr<RepositoryDir>> own = dir->for_session(options.session);
  if (!own.ok()) return own.status();
  return std::unique_ptr<Collection>(new Collection(std::move(*own), std::move(index), std::move(options)));
}

Collection::Collection(std::shared_ptr<RepositoryDir> dir, std::shared_ptr<Index> index, CompactionOptions options)
    : dir_(std::move(dir)),
      index_(std::move(index)),
      options_(std::move(options)),
      live_(index_),
      reader_(dir_, index_, 0, options_.keys),
      nodes_(index_->cache(), options_.keys) {}

Status Collection::mark(const std::vector<MapRoot>& roots, const CollectControl& control, CollectCounters& counters) {
  std::lock_guard lock(mutex_);
  walked_all_ = false;
  VZV_TRY(live_.refresh());
  VZV_TRY(mark_roots(roots, live_, reader_, nodes_, control, counters));
  walked_all_ = true;
  return {};
}

Result<std::vector<PackUse>> Collection::packs(const CollectControl& control) {
  std::lock_guard lock(mutex_);
  VZV_TRY(live_.status());
  return use_of_packs(*dir_, live_, control);
}

Result<CompactionResult> Collection::compact(const std::vector<Id>& packs, const CollectControl& control,
                                             CollectCounters& counters) {
  std::lock_guard lock(mutex_);
  VZV_TRY(live_.status());
  return compact_packs(dir_, index_, live_, reader_, packs, options_, control, counters);
}

Result<std::vector<Id>> Collection::still_needed(const std::vector<Id>& packs, const CollectControl& control) {
  std::lock_guard lock(mutex_);
  VZV_TRY(live_.refresh());
  return vzv::still_needed(*dir_, live_, packs, control);
}

Result<MergeResult> Collection::merge_segments(const std::vector<Id>& going, const CollectControl& control,
                                               CollectCounters& counters) {
  std::lock_guard lock(mutex_);
  VZV_TRY(live_.refresh());
  Result<MergeResult> merged = vzv::merge_segments(*dir_, *index_->cache(), live_, going, control, counters);
  if (!merged.ok()) return merged;
  // What was written is read again before anybody relies on it.
  VZV_TRY(index_->refresh());
  const std::vector<Status> damaged = index_->damaged_segments();
  if (!damaged.empty()) return Status(Code::E_GC_INCOMPLETE, "after merging segments: " + damaged.front().message());
  return merged;
}

void Collection::close() {
  std::lock_guard lock(mutex_);
  if (closed_) return;
  closed_ = true;
  nodes_.publish(!walked_all_);
}

}  // namespace vzv
