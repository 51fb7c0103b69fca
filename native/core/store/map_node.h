// The bytes of a map node (docs/format.md, Map), and where children of a node begin.
//
// decode_map_node() takes bytes of any origin and answers E_MAP_DAMAGED with what is wrong, without the node's id.
// Pure, thread-safe.
#pragma once

#include <cstdint>
#include <vector>

#include "core/base/id.h"
#include "core/base/limits.h"
#include "core/base/status.h"
#include "core/chunk/volume_geometry.h"

namespace vzv {

inline constexpr std::uint32_t kMapNodeHeaderBytes = 16;

// Chunks below one child of a node of `level`: 256^level. REQUIRES: level < kMapLevelsMax
constexpr std::uint64_t map_child_chunks(unsigned level) { return 1ULL << (8 * level); }

// Number of children of the node of `level` that begins at `first_chunk`, in a volume of `chunk_count` chunks.
// REQUIRES: first_chunk < chunk_count
constexpr std::uint32_t map_node_children(std::uint64_t chunk_count, unsigned level, std::uint64_t first_chunk) {
  const std::uint64_t step = map_child_chunks(level);
  const std::uint64_t children = (chunk_count - first_chunk + step - 1) / step;
  return static_cast<std::uint32_t>(children < limits::kMapFanout ? children : limits::kMapFanout);
}

// The plain length of a node with so many children.
constexpr std::uint32_t map_node_bytes(std::uint32_t children) { return kMapNodeHeaderBytes + 32 * children; }

// REQUIRES: 1 … 256 children, not all of them the zero sentinel.
Bytes encode_map_node(unsigned level, const std::vector<Id>& children);

// The ids of the children. `level` and `children` are what the node must say of itself.
Result<std::vector<Id>> decode_map_node(ByteSpan node, unsigned level, std::uint32_t children);

}  // namespace vzv
