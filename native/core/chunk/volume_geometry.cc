#include "core/chunk/volume_geometry.h"

#include <algorithm>
#include <string>

#include "core/base/limits.h"

namespace vzv {

Result<VolumeGeometry> VolumeGeometry::make(std::uint64_t size_bytes, std::uint32_t chunk_size_bytes) {
  using limits::kKiB;
  if (chunk_size_bytes != 256 * kKiB && chunk_size_bytes != 512 * kKiB && chunk_size_bytes != 1024 * kKiB &&
      chunk_size_bytes != 4096 * kKiB) {
    return Status(Code::E_ARGUMENT_INVALID, "chunk size " + std::to_string(chunk_size_bytes) +
                                                " bytes is none of 262144, 524288, 1048576 and 4194304");
  }
  const VolumeGeometry geometry{size_bytes, chunk_size_bytes};
  if (geometry.chunk_count() > limits::kVolumeChunksMax) {
    return Status(Code::E_ARGUMENT_INVALID,
                  "a volume of " + std::to_string(size_bytes) + " bytes has more chunks than the format allows");
  }
  return geometry;
}

std::uint64_t VolumeGeometry::chunk_count() const {
  return size_bytes / chunk_size_bytes + (size_bytes % chunk_size_bytes != 0 ? 1 : 0);
}

std::uint32_t VolumeGeometry::chunk_length(std::uint64_t chunk_number) const {
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(chunk_size_bytes, size_bytes - chunk_offset(chunk_number)));
}

unsigned VolumeGeometry::levels() const {
  const std::uint64_t count = chunk_count();
  unsigned levels = 1;
  // Stops below kVolumeChunksMax = 256^5: the shift cannot overflow.
  for (std::uint64_t reach = limits::kMapFanout; reach < count; reach *= limits::kMapFanout) ++levels;
  return levels;
}

}  // namespace vzv
