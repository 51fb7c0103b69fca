// Finds out what is referred to: walks the maps of snapshots, each node once, and marks all that they list.
//
// Nodes come from the cache of earlier collections where it has them, else from the repository. Several threads, so
// that a network file system's round trips overlap; what waits for them is bounded by the height of the maps. The
// pieces themselves are not read.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <vector>

#include "core/base/cancel.h"
#include "core/collect/live_chunks.h"
#include "core/collect/node_cache.h"
#include "core/store/chunk_reader.h"

namespace vzv {

// Where a walk begins.
struct MapRoot {
  enum class Kind { kVolume, kStream };

  Kind kind = Kind::kVolume;
  ChunkType type = ChunkType::kData;  // of a stream's pieces
  std::uint64_t size_bytes = 0;
  std::uint32_t chunk_size_bytes = 0;  // of a volume
  unsigned levels = 1;
  Id root;  // the zero sentinel: of nothing
};

struct MarkCounters {
  std::uint64_t nodes_read = 0;        // from the repository
  std::uint64_t nodes_remembered = 0;  // from the cache
  std::uint64_t files_opened = 0;      // packs
  std::uint64_t chunks_marked = 0;     // data and catalogue, each once
};

// What work under way tells whoever looks. The bytes count for what copies or merges.
struct CollectCounters {
  std::atomic<std::uint64_t> nodes_read{0};
  std::atomic<std::uint64_t> nodes_remembered{0};
  std::atomic<std::uint64_t> files_opened{0};
  std::atomic<std::uint64_t> chunks_marked{0};
  std::atomic<std::uint64_t> total_bytes{0};
  std::atomic<std::uint64_t> processed_bytes{0};
};

struct CollectControl {
  const CancelToken& cancel;
  // Called before so many bytes are read from the repository; may wait. An error ends the work. Thread-safe. None: no
  // limit.
  std::function<Status(std::uint64_t bytes)> pace;

  Status before_reading(std::uint64_t bytes) const {
    VZV_TRY(cancel.status());
    return pace ? pace(bytes) : Status();
  }
};

// E_GC_INCOMPLETE, naming the root, where a node is missing or not right or a root cannot be one; the errors of the
// storage as they are; E_CANCELLED. After any of them nothing is known to be walked, but what was marked stays marked.
// Adds to `counters`.
Status mark_roots(const std::vector<MapRoot>& roots, LiveChunks& live, ChunkReader& reader, NodeCache& nodes,
                  const CollectControl& control, CollectCounters& counters);

}  // namespace vzv
