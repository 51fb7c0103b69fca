// Makes the index anew from the tables of the packs alone; no key is needed.
//
// Safe beside writers, collections and readers: what exists is listed before packs are read, the new segments are
// durable before anybody takes an old one away, and an old one is named as replaced only where nothing that it lists is
// lost with it.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "core/base/cancel.h"
#include "core/store/index.h"
#include "core/store/repository_dir.h"

namespace vzv {

struct RebuildProgress {
  std::uint64_t total_packs = 0;
  std::uint64_t processed_packs = 0;
};

struct RebuildResult {
  std::uint64_t packs = 0;  // that the new segments list
  std::uint64_t chunks = 0;
  std::vector<Id> added;
  // Segments that are not needed any more: damaged, or everything that they list is in the new ones or in packs that
  // are gone. What is in index/ beside these stays needed.
  std::vector<Id> replaced;
  std::vector<Status> damages;  // packs whose tables cannot be read, at most kDamagesListedMax
};

// `suite` is that of the repository: packs of another are damages (E_SUITE_MISMATCH). E_CANCELLED, errors of the
// storage. One segment's entries in memory.
Result<RebuildResult> rebuild_index(RepositoryDir& dir, Index& index, Suite suite,
                                    const std::function<void(const RebuildProgress&)>& progress,
                                    const CancelToken& cancel);

}  // namespace vzv
