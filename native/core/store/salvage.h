// Brings what is left of a damaged pack into new packs.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "core/base/cancel.h"
#include "core/store/chunk_writer.h"
#include "core/store/index.h"
#include "core/store/repository_dir.h"
#include "core/store/repository_keys.h"

namespace vzv {

struct SalvageResult {
  std::uint64_t chunks = 0;  // decoded and checked, here or in another pack
  std::uint64_t lost = 0;    // listed, but not readable any more, here and elsewhere
};

// Puts every chunk of the pack that can still be read into `writer`, from another pack where this one does not hold it
// any more, as where a sector of its disk is lost. Where the pack's table is damaged the index tells what should be in
// it. What was put is durable after writer.flush(); the pack itself is left alone. E_KEY_MISSING, E_CANCELLED, errors
// of the storage and of the writer.
// REQUIRES: the writer excludes the pack.
Result<SalvageResult> salvage_pack(const std::shared_ptr<RepositoryDir>& dir, const std::shared_ptr<Index>& index,
                                   const RepositoryKeysPtr& keys, const Id& pack, ChunkWriter& writer,
                                   const std::function<void(std::uint64_t bytes)>& progress, const CancelToken& cancel);

}  // namespace vzv
