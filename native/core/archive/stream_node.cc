#include "core/archive/stream_node.h"

#include "core/base/bytes.h"

namespace vzv {

namespace {

constexpr std::string_view kMagic = "VZMN";
constexpr std::uint8_t kStreamMap = 1;
constexpr std::size_t kChildBytes = 40;

Status damaged(std::string what) { return {Code::E_MAP_DAMAGED, std::move(what)}; }

}  // namespace

Bytes encode_stream_node(unsigned level, const std::vector<StreamChild>& children) {
  Bytes node;
  node.reserve(16 + kChildBytes * children.size());
  ByteWriter writer(node);
  writer.magic(kMagic);
  writer.u8(kStreamMap);
  writer.u8(static_cast<std::uint8_t>(level));
  writer.u16(static_cast<std::uint16_t>(children.size()));
  writer.zeroes(8);
  for (const StreamChild& child : children) {
    writer.id(child.id);
    writer.u64(child.length);
  }
  return node;
}

Result<std::vector<StreamChild>> decode_stream_node(ByteSpan node, unsigned level, std::uint64_t length,
                                                    ChunkType type) {
  ByteReader reader(node);
  if (!reader.magic(kMagic)) return damaged("it does not begin as a map node");
  if (const unsigned kind = reader.u8(); kind != kStreamMap) {
    return damaged("its kind is " + std::to_string(kind) + ", not that of a stream");
  }
  if (const unsigned own = reader.u8(); own != level) {
    return damaged("it is of level " + std::to_string(own) + ", not " + std::to_string(level));
  }
  const unsigned count = reader.u16();
  if (count == 0 || count > limits::kMapFanout) return damaged("it has " + std::to_string(count) + " children");
  if (!reader.zeroes(8)) return damaged("a reserved field is not zero");
  if (reader.remaining() != kChildBytes * count) return damaged("its length does not match");
  std::vector<StreamChild> children(count);
  std::uint64_t left = length;
  for (StreamChild& child : children) {
    child.id = reader.id();
    child.length = reader.u64();
    if (child.length == 0 || child.length > left) return damaged("the lengths of its children do not match its own");
    if (level == 0 && child.length > plain_max_bytes(type)) return damaged("a piece is longer than one may be");
    if (child.id.is_zero() && (level > 0 || type != ChunkType::kData)) return damaged("a child has no id");
    left -= child.length;
  }
  if (left != 0) return damaged("the lengths of its children do not match its own");
  return children;
}

}  // namespace vzv
