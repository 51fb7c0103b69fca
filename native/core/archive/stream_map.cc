#include "core/archive/stream_map.h"

#include <algorithm>
#include <cstring>

namespace vzv {

Status check_stream_map(const StreamMap& map) {
  if (map.levels < 1 || map.levels > limits::kStreamLevelsMax) {
    return {Code::E_MAP_DAMAGED, "a stream cannot have " + std::to_string(map.levels) + " levels"};
  }
  if (map.size_bytes >= limits::kArchiveSizeMax) return {Code::E_MAP_DAMAGED, "a stream cannot be of 2^53 bytes"};
  if (map.root.is_zero() != (map.size_bytes == 0) || (map.size_bytes == 0 && map.levels != 1)) {
    return {Code::E_MAP_DAMAGED, "an empty stream, and no other, has the zero sentinel as root"};
  }
  return {};
}

Status StreamWriter::append(const Id& id, std::uint32_t length) {
  if (limits::kArchiveSizeMax - size_bytes_ <= length) {
    return {Code::E_ARCHIVE_INVALID, "the archive is larger than 2^53 bytes"};
  }
  size_bytes_ += length;
  return add(0, {id, length});
}

Status StreamWriter::add(unsigned level, const StreamChild& child) {
  if (level == levels_.size()) levels_.emplace_back();
  levels_[level].children.push_back(child);
  if (!stream_node_ends(levels_[level].children.size(), child.id)) return {};
  const Result<StreamChild> node = close_node(level);
  return node.ok() ? add(level + 1, *node) : node.status();
}

Result<StreamChild> StreamWriter::close_node(unsigned level) {
  if (level >= limits::kStreamLevelsMax) {
    return Status(Code::E_ARCHIVE_INVALID, "the archive has more than 2^40 pieces");
  }
  Level& own = levels_[level];
  const Bytes node = encode_stream_node(level, own.children);
  StreamChild child{chunk_id(writer_.keys(), node), 0};
  for (const StreamChild& below : own.children) child.length += below.length;
  own.children.clear();
  ++own.nodes;
  own.last = child;
  const auto put = writer_.put(ChunkType::kMapNode, child.id, node);
  return put.ok() ? Result<StreamChild>(child) : put.status();
}

Result<StreamMap> StreamWriter::finish() {
  if (size_bytes_ == 0) return StreamMap{};
  for (unsigned level = 0;; ++level) {
    if (!levels_[level].children.empty()) {
      const Result<StreamChild> node = close_node(level);
      if (!node.ok()) return node.status();
      if (levels_[level].nodes > 1) VZV_TRY(add(level + 1, *node));
    }
    const Level& own = levels_[level];
    if (own.nodes == 1) return StreamMap{size_bytes_, level + 1, own.last.id};
  }
}

Result<std::vector<StreamChild>> StreamReader::children(const Place& place) {
  Result<ChunkReader::Chunk> bytes = reader_.read(place.node, ChunkType::kMapNode);
  if (!bytes.ok()) return bytes.status();
  Result<std::vector<StreamChild>> children = decode_stream_node(**bytes, place.level, place.length, type_);
  if (!children.ok()) {
    return Status(children.status().code(), describe_chunk(place.node, ChunkType::kMapNode) + " at offset " +
                                                std::to_string(place.offset) +
                                                " of the stream: " + children.status().message());
  }
  return children;
}

Status StreamReader::descend(std::uint64_t offset, Place& place, StreamPiece& piece) {
  place = {map_.root, map_.levels - 1, 0, map_.size_bytes};
  for (;;) {
    const Result<std::vector<StreamChild>> found = children(place);
    if (!found.ok()) return found.status();
    std::uint64_t at = place.offset;
    std::size_t n = 0;
    while (offset - at >= found.value()[n].length) at += found.value()[n++].length;
    const StreamChild& child = found.value()[n];
    if (place.level == 0) {
      piece = {child.id, at, static_cast<std::uint32_t>(child.length)};
      return {};
    }
    place = {child.id, place.level - 1, at, child.length};
  }
}

Result<StreamPiece> StreamReader::piece(std::uint64_t offset) {
  if (offset >= map_.size_bytes) {
    return Status(Code::E_ARGUMENT_INVALID, "the stream has no byte at offset " + std::to_string(offset));
  }
  Place place;
  StreamPiece piece;
  VZV_TRY(descend(offset, place, piece));
  return piece;
}

std::uint64_t StreamReader::end_of_unreadable(std::uint64_t offset) {
  Place place;
  StreamPiece piece;
  if (descend(offset, place, piece).ok()) return offset;
  return place.offset + place.length;
}

Result<ChunkReader::Chunk> StreamReader::bytes(const StreamPiece& piece) {
  if (piece.id.is_zero()) return ChunkReader::Chunk();
  return reader_.read(piece.id, type_, piece.length);
}

Status StreamReader::read(std::uint64_t offset, std::span<std::uint8_t> buffer) {
  while (!buffer.empty()) {
    const Result<StreamPiece> found = piece(offset);
    if (!found.ok()) return found.status();
    const Result<ChunkReader::Chunk> chunk = bytes(*found);
    if (!chunk.ok()) return chunk.status();
    const std::size_t from = offset - found->offset;
    const std::size_t length = std::min<std::size_t>(buffer.size(), found->length - from);
    if (*chunk == nullptr) {
      std::memset(buffer.data(), 0, length);
    } else {
      std::memcpy(buffer.data(), (*chunk)->data() + from, length);
    }
    offset += length;
    buffer = buffer.subspan(length);
  }
  return {};
}

}  // namespace vzv
