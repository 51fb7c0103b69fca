// What a chunk holds. Id and type together are its key: a data chunk with the bytes of a map node is a different chunk.
#pragma once

#include <cstdint>
#include <functional>

#include "core/base/id.h"
#include "core/base/limits.h"

namespace vzv {

enum class ChunkType : std::uint8_t { kData = 1, kMapNode = 2, kCatalogue = 3 };

// Of the byte that stands for a type in the format.
constexpr bool chunk_type_known(std::uint8_t value) { return value >= 1 && value <= 3; }

// The longest plain length of a chunk of this type.
constexpr std::uint32_t plain_max_bytes(ChunkType type) {
  switch (type) {
    case ChunkType::kData:
      return limits::kDataChunkMaxBytes;
    case ChunkType::kMapNode:
      return limits::kMapNodeMaxBytes;
    case ChunkType::kCatalogue:
      return limits::kCataloguePieceMaxBytes;
  }
  return 0;
}

// Map nodes and catalogues tell what data there is: they are read without the data, so they have packs of their own.
constexpr bool is_metadata(ChunkType type) { return type != ChunkType::kData; }

struct ChunkKey {
  Id id;
  ChunkType type;

  auto operator<=>(const ChunkKey&) const = default;
};

struct ChunkKeyHash {
  std::size_t operator()(const ChunkKey& key) const { return IdHash{}(key.id) ^ static_cast<std::size_t>(key.type); }
};

// "chunk 0123456789abcdef…", "map node 0123456789abcdef…" or "catalogue piece 0123456789abcdef…", for messages.
inline std::string describe_chunk(const Id& id, ChunkType type) {
  const char* const noun = type == ChunkType::kData      ? "chunk "
                           : type == ChunkType::kMapNode ? "map node "
                                                         : "catalogue piece ";
  return noun + id.hex().substr(0, 16) + "…";
}

// "pack 0123456789abcdef…"
inline std::string describe_pack(const Id& pack) { return "pack " + pack.hex().substr(0, 16) + "…"; }

// "segment 0123456789abcdef…"
inline std::string describe_segment(const Id& segment) { return "segment " + segment.hex().substr(0, 16) + "…"; }

// Where these lie in the repository.
inline std::string pack_name(const Id& pack) {
  const std::string hex = pack.hex();
  return "packs/" + hex.substr(0, 2) + "/" + hex;
}
inline std::string segment_name(const Id& segment) { return "index/" + segment.hex(); }

}  // namespace vzv
