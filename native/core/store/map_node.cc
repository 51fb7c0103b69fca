#include "core/store/map_node.h"

#include "core/base/bytes.h"

namespace vzv {

namespace {

constexpr std::string_view kMagic = "VZMN";
constexpr std::uint8_t kVolumeMap = 0;

Status damaged(std::string what) { return {Code::E_MAP_DAMAGED, std::move(what)}; }

}  // namespace

Bytes encode_map_node(unsigned level, const std::vector<Id>& children) {
  Bytes node;
  node.reserve(map_node_bytes(static_cast<std::uint32_t>(children.size())));
  ByteWriter writer(node);
  writer.magic(kMagic);
  writer.u8(kVolumeMap);
  writer.u8(static_cast<std::uint8_t>(level));
  writer.u16(static_cast<std::uint16_t>(children.size()));
  writer.zeroes(8);
  for (const Id& child : children) writer.id(child);
  return node;
}

Result<std::vector<Id>> decode_map_node(ByteSpan node, unsigned level, std::uint32_t children) {
  ByteReader reader(node);
  if (!reader.magic(kMagic)) return damaged("it does not begin as a map node");
  if (const unsigned kind = reader.u8(); kind != kVolumeMap)
    return damaged("its kind " + std::to_string(kind) + " is unknown");
  if (const unsigned own = reader.u8(); own != level) {
    return damaged("it is of level " + std::to_string(own) + ", not " + std::to_string(level));
  }
  if (const unsigned own = reader.u16(); own != children) {
    return damaged("it has " + std::to_string(own) + " children, not " + std::to_string(children));
  }
  if (!reader.zeroes(8)) return damaged("a reserved field is not zero");
  if (reader.remaining() != std::size_t{32} * children) return damaged("its length does not match");
  std::vector<Id> ids(children);
  bool data = false;
  for (Id& id : ids) {
    id = reader.id();
    data = data || !id.is_zero();
  }
  if (!data) return damaged("all of its children are zero");
  return ids;
}

}  // namespace vzv
