// The bytes of a node of a stream's map (docs/format.md, Map of a stream): kind 1, where each child stands with the
// number of the stream's bytes below it.
//
// decode_stream_node() takes bytes of any origin and answers E_MAP_DAMAGED with what is wrong, without the node's id.
// Pure, thread-safe.
#pragma once

#include <cstdint>
#include <vector>

#include "core/base/id.h"
#include "core/base/limits.h"
#include "core/base/status.h"
#include "core/store/chunk_type.h"

namespace vzv {

struct StreamChild {
  Id id;  // of a piece in a node of level 0, else of a node
  std::uint64_t length = 0;

  bool operator==(const StreamChild&) const = default;
};

// Where a node ends: its children are cut by content, so that an insertion into the stream changes few nodes.
// `children` is their number with `last`, the one that was added last.
constexpr bool stream_node_ends(std::size_t children, const Id& last) {
  if (children >= limits::kMapFanout) return true;
  return children >= limits::kStreamFanoutMin && (last.bytes[0] & 0x7f) == 0;
}

// REQUIRES: 1 … 256 children, level < kStreamLevelsMax
Bytes encode_stream_node(unsigned level, const std::vector<StreamChild>& children);

// `level` is what the node must say of itself, `length` what its children must sum up to, `type` that of the stream's
// pieces: only data has the zero sentinel among them.
Result<std::vector<StreamChild>> decode_stream_node(ByteSpan node, unsigned level, std::uint64_t length,
                                                    ChunkType type);

}  // namespace vzv
