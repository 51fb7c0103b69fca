// Moves the live chunks of packs into new packs.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/collect/live_chunks.h"
#include "core/collect/mark.h"
#include "core/store/chunk_reader.h"

namespace vzv {

struct CompactionResult {
  std::vector<Id> packs;  // the new ones
  std::uint64_t added_bytes = 0;
};

struct CompactionOptions {
  std::string session;
  int zstd_level = 1;
  RepositoryKeysPtr keys{};
};

// Seals the live chunks of `packs` anew, data and metadata apart, unless they have a place in a pack that is there and
// not among these; so `packs` should be all that are to go. Durable and in the index when it answers; the packs
// themselves are left alone. What cannot be read from anywhere, be it damaged or in a sector that is lost, is left
// where it is, as is a pack that is gone; still_needed() keeps what that needs. One chunk at a time.
Result<CompactionResult> compact_packs(const std::shared_ptr<RepositoryDir>& dir, const std::shared_ptr<Index>& index,
                                       const LiveChunks& live, ChunkReader& reader, const std::vector<Id>& packs,
                                       const CompactionOptions& options, const CollectControl& control,
                                       CollectCounters& counters);

}  // namespace vzv
