#include "core/store/map_reader.h"

#include <algorithm>

namespace vzv {

Result<std::vector<Id>> MapReader::children(const Id& node, unsigned level, std::uint64_t first_chunk) {
  const std::uint32_t count = map_node_children(geometry_.chunk_count(), level, first_chunk);
  Result<ChunkReader::Chunk> bytes = reader_.read(node, ChunkType::kMapNode, map_node_bytes(count));
  if (!bytes.ok()) return bytes.status();
  Result<std::vector<Id>> ids = decode_map_node(**bytes, level, count);
  if (!ids.ok()) {
    return Status(ids.status().code(), describe_chunk(node, ChunkType::kMapNode) + " at chunk number " +
                                           std::to_string(first_chunk) + ": " + ids.status().message());
  }
  return ids;
}

Result<Id> MapReader::chunk(std::uint64_t chunk_number) {
  if (chunk_number >= geometry_.chunk_count()) {
    return Status(Code::E_ARGUMENT_INVALID, "the volume has no chunk number " + std::to_string(chunk_number));
  }
  Id id = root_;
  for (unsigned level = geometry_.levels(); level-- > 0 && !id.is_zero();) {
    const std::uint64_t first_chunk = chunk_number - chunk_number % map_child_chunks(level + 1);
    Result<std::vector<Id>> ids = children(id, level, first_chunk);
    if (!ids.ok()) return ids.status();
    id = (*ids)[(chunk_number - first_chunk) / map_child_chunks(level)];
  }
  return id;
}

Result<std::uint64_t> MapReader::next(std::uint64_t chunk_number, bool data) {
  if (chunk_number >= geometry_.chunk_count()) return geometry_.chunk_count();
  return next_in(root_, geometry_.levels() - 1, 0, chunk_number, data);
}

// In the subtree below `node`, which begins at first_chunk: the first chunk at or after `from` that is (or is not) all
// zero; chunk_count() when there is none. REQUIRES: from lies in the subtree.
Result<std::uint64_t> MapReader::next_in(const Id& node, unsigned level, std::uint64_t first_chunk, std::uint64_t from,
                                         bool data) {
  const std::uint64_t none = geometry_.chunk_count();
  if (node.is_zero()) return data ? none : from;
  Result<std::vector<Id>> ids = children(node, level, first_chunk);
  if (!ids.ok()) return ids.status();
  const std::uint64_t step = map_child_chunks(level);
  for (std::uint64_t n = (from - first_chunk) / step; n < ids->size(); ++n) {
    const Id& child = (*ids)[n];
    const std::uint64_t child_first = first_chunk + n * step;
    const std::uint64_t child_from = std::max(from, child_first);
    if (level == 0) {
      if (child.is_zero() != data) return child_from;
      continue;
    }
    Result<std::uint64_t> found = next_in(child, level - 1, child_first, child_from, data);
    if (!found.ok() || *found != none) return found;
  }
  return none;
}

}  // namespace vzv
