// Reads a repository's packs and segments from end to end and says what is wrong with them.
//
// What is damaged is collected, not fatal; what stops the reading of one file (an I/O error) is a damage of that file.
// Where chunks are decoded, a sector that its disk cannot read any more is told from a storage that is away: what lies
// in it is damaged then, and the rest of the file is looked at (lost_range.h).
//
// One thread; in memory are one chunk, one buffer and what SegmentCheck keeps, however long a segment is. A pack is
// read once, or twice where its chunks are decoded.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "core/base/cancel.h"
#include "core/store/repository_dir.h"
#include "core/store/repository_keys.h"

namespace vzv {

struct VerifyProgress {
  std::uint64_t total_bytes = 0;  // of all packs
  std::uint64_t processed_bytes = 0;
};

struct VerifyReport {
  std::uint64_t packs = 0;
  std::uint64_t pack_bytes = 0;
  std::uint64_t segments = 0;
  std::uint64_t chunks = 0;            // listed in the tables of packs that are right, decoded when asked for
  std::vector<Status> damages;         // at most kDamagesListedMax
  std::uint64_t damages_unlisted = 0;  // further ones
};

struct VerifyOptions {
  bool decode = false;                     // also decode every chunk and check its id
  std::optional<std::vector<Id>> packs{};  // only these; nothing: all that are there
  bool segments = true;                    // also the index
  RepositoryKeysPtr
      keys{};  // of an encrypted repository; decoding needs them, and what is not encrypted is found by them
};

// Names of packs against their bytes, their tables, chunks when asked for; segments, and that the packs they name are
// there. E_CANCELLED, E_KEY_MISSING where chunks shall be decoded and a pack is encrypted, or an error of the storage
// that stops all (the directory cannot be listed).
Result<VerifyReport> verify_packs(RepositoryDir& dir, const VerifyOptions& options,
                                  const std::function<void(const VerifyProgress&)>& progress,
                                  const CancelToken& cancel);

}  // namespace vzv
