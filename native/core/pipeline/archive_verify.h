// Reads all that an archive refers to, its catalogue and its data, and collects what is wrong instead of stopping at
// it.
#pragma once

#include <cstdint>
#include <vector>

#include "core/base/cancel.h"
#include "core/pipeline/archive_backup.h"
#include "core/pipeline/counters.h"
#include "core/store/chunk_reader.h"

namespace vzv {

struct ArchiveVerifyResult {
  // Pieces of both streams that are stored and were read, damaged ones included.
  std::uint64_t chunks = 0;
  // Everything found, also what is not listed.
  std::uint64_t damage_count = 0;
  // At most kDamagesListedMax, in no order.
  std::vector<Status> damages;
};

// An error only where verification cannot go on: the storage does not answer, or E_CANCELLED. Behind a piece or node
// that cannot be read the rest is still verified. Members must be able to stand behind those before them
// (member_index.h); the first that is not, or that comes behind a piece that cannot be read, ends this check. Where the
// whole catalogue can be read, its members and what they store must be as many as the archive says and its data has.
Result<ArchiveVerifyResult> verify_archive(const ArchiveMap& archive, ChunkReader& chunks, CopyCounters& counters,
                                           const CancelToken& cancel);

}  // namespace vzv
