#include "core/store/map_writer.h"

#include <algorithm>

namespace vzv {

MapWriter::MapWriter(VolumeGeometry geometry, ChunkWriter& writer, std::optional<Base> base)
    : geometry_(geometry), writer_(writer), base_(std::move(base)), levels_(geometry.levels()) {}

Status MapWriter::set(std::uint64_t chunk_number, const Id& id) {
  if (chunk_number < next_chunk_ || chunk_number >= geometry_.chunk_count()) {
    return {Code::E_INTERNAL, "chunk number " + std::to_string(chunk_number) + " came out of order"};
  }
  VZV_TRY(open_path(0, chunk_number));
  levels_[0].children[chunk_number % limits::kMapFanout] = id;
  next_chunk_ = chunk_number + 1;
  return {};
}

Status MapWriter::set_zero(std::uint64_t first_chunk, std::uint64_t count) {
  if (first_chunk < next_chunk_ || first_chunk > geometry_.chunk_count() ||
      count > geometry_.chunk_count() - first_chunk) {
    return {Code::E_INTERNAL,
            std::to_string(count) + " chunks from number " + std::to_string(first_chunk) + " on came out of order"};
  }
  const std::uint64_t end = first_chunk + count;
  // Without a base what is not set is zero.
  for (std::uint64_t at = first_chunk; base_ && at < end;) {
    // The highest level at which a child begins here and ends in the range; the last child of a volume may be short.
    unsigned level = 0;
    while (level + 1 < levels_.size() && at % map_child_chunks(level + 1) == 0 &&
           (end == geometry_.chunk_count() || map_child_chunks(level + 1) <= end - at)) {
      ++level;
    }
    VZV_TRY(open_path(level, at));
    levels_[level].children[(at - levels_[level].first_chunk) / map_child_chunks(level)] = Id{};
    at += std::min(map_child_chunks(level), end - at);
  }
  next_chunk_ = end;
  return {};
}

Status MapWriter::open_path(unsigned level, std::uint64_t first_chunk) {
  // Nodes below that level lie before the child, if they are open, and go into their parents in time.
  for (unsigned k = static_cast<unsigned>(levels_.size()); k-- > level;) {
    const std::uint64_t node_first = first_chunk - first_chunk % map_child_chunks(k + 1);
    if (levels_[k].open && levels_[k].first_chunk == node_first) continue;
    if (levels_[k].open) VZV_TRY(close_up_to(k));
    VZV_TRY(open_node(k, node_first));
  }
  return {};
}

// Where a node's id stands in its parent.
std::size_t MapWriter::position_in_parent(unsigned level) const {
  return (levels_[level].first_chunk - levels_[level + 1].first_chunk) / map_child_chunks(level + 1);
}

Status MapWriter::open_node(unsigned level, std::uint64_t first_chunk) {
  Level& node = levels_[level];
  const bool is_root = level + 1 == levels_.size();
  const std::uint32_t children = map_node_children(geometry_.chunk_count(), level, first_chunk);
  node.open = true;
  node.first_chunk = first_chunk;
  if (is_root) {
    node.base_id = base_ ? base_->root : Id{};
  } else {
    node.base_id = levels_[level + 1].base_children[position_in_parent(level)];
  }
  node.base_children.assign(children, Id{});
  if (!node.base_id.is_zero()) {
    Result<ChunkReader::Chunk> bytes = base_->reader.read(node.base_id, ChunkType::kMapNode, map_node_bytes(children));
    if (!bytes.ok()) return bytes.status();
    Result<std::vector<Id>> ids = decode_map_node(**bytes, level, children);
    if (!ids.ok())
      return {ids.status().code(), describe_chunk(node.base_id, ChunkType::kMapNode) + ": " + ids.status().message()};
    node.base_children = std::move(*ids);
  }
  node.children = node.base_children;
  return {};
}

Result<Id> MapWriter::close_node(unsigned level) {
  Level& node = levels_[level];
  node.open = false;
  if (node.children == node.base_children) return node.base_id;
  const bool zero = std::all_of(node.children.begin(), node.children.end(), [](const Id& id) { return id.is_zero(); });
  if (zero) return Id{};
  const Bytes bytes = encode_map_node(level, node.children);
  const Id id = chunk_id(writer_.keys(), bytes);
  Result<PutResult> put = writer_.put(ChunkType::kMapNode, id, bytes);
  if (!put.ok()) return put.status();
  return id;
}

Status MapWriter::close_up_to(unsigned level) {
  for (unsigned k = 0; k <= level; ++k) {
    if (!levels_[k].open) continue;
    Result<Id> id = close_node(k);
    if (!id.ok()) return id.status();
    if (k + 1 == levels_.size()) {
      root_ = *id;
    } else {
      levels_[k + 1].children[position_in_parent(k)] = *id;
    }
  }
  return {};
}

Result<Id> MapWriter::finish() {
  const unsigned top = static_cast<unsigned>(levels_.size()) - 1;
  if (!levels_[top].open) return base_ ? base_->root : Id{};
  VZV_TRY(close_up_to(top));
  next_chunk_ = geometry_.chunk_count();
  return root_;
}

}  // namespace vzv
