// How a volume is cut into chunks and how high its map is (docs/format.md, Chunks and Map). Plain value, pure
// functions.
#pragma once

#include <cstdint>

#include "core/base/status.h"

namespace vzv {

struct VolumeGeometry {
  std::uint64_t size_bytes = 0;
  std::uint32_t chunk_size_bytes = 0;

  // E_ARGUMENT_INVALID for a chunk size that the format does not name, and for more chunks than it allows. A geometry
  // that was not made here must not be used.
  static Result<VolumeGeometry> make(std::uint64_t size_bytes, std::uint32_t chunk_size_bytes);

  std::uint64_t chunk_count() const;
  // REQUIRES: chunk_number < chunk_count()
  std::uint64_t chunk_offset(std::uint64_t chunk_number) const { return chunk_number * chunk_size_bytes; }
  // Only the last chunk may be shorter than chunk_size_bytes. REQUIRES: chunk_number < chunk_count()
  std::uint32_t chunk_length(std::uint64_t chunk_number) const;
  // Levels of the map: the least L >= 1 with 256^L >= chunk_count().
  unsigned levels() const;

  bool operator==(const VolumeGeometry&) const = default;
};

}  // namespace vzv
