// Puts a segment for chunks of packs that are durable into the repository.
#pragma once

#include <memory>
#include <vector>

#include "core/store/pack_writer.h"
#include "core/store/repository_dir.h"

namespace vzv {

struct WrittenSegment {
  Id id;
  Bytes bytes;
};

// Lists every chunk of `packs` (a chunk that is in several of them, once), durably. One that exists already has the
// same bytes: success. Thread-safe. REQUIRES: every pack is durable and has an entry.
Result<WrittenSegment> write_segment(RepositoryDir& dir, Suite suite, const std::vector<FinishedPack>& packs);

}  // namespace vzv
