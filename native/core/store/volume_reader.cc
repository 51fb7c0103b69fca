#include "core/store/volume_reader.h"

#include <algorithm>
#include <cstring>

namespace vzv {

Status VolumeReader::read(std::uint64_t offset, std::span<std::uint8_t> buffer) {
  const VolumeGeometry& geometry = map_.geometry();
  if (offset > geometry.size_bytes || buffer.size() > geometry.size_bytes - offset) {
    return {Code::E_ARGUMENT_INVALID, "a read beyond the end of the volume"};
  }
  while (!buffer.empty()) {
    const std::uint64_t number = offset / geometry.chunk_size_bytes;
    const auto begin = static_cast<std::size_t>(offset - geometry.chunk_offset(number));
    const std::uint32_t chunk_bytes = geometry.chunk_length(number);
    const std::size_t length = std::min<std::size_t>(buffer.size(), chunk_bytes - begin);
    Result<Id> id = map_.chunk(number);
    if (!id.ok()) return id.status();
    if (id->is_zero()) {
      std::memset(buffer.data(), 0, length);
    } else {
      Result<ChunkReader::Chunk> chunk = reader_.read(*id, ChunkType::kData, chunk_bytes);
      if (!chunk.ok()) return chunk.status();
      std::memcpy(buffer.data(), (*chunk)->data() + begin, length);
    }
    buffer = buffer.subspan(length);
    offset += length;
  }
  return {};
}

// The byte where `chunk_number` begins, but not before `offset`, which lies in or before it.
static std::uint64_t byte_of(const VolumeGeometry& geometry, std::uint64_t chunk_number, std::uint64_t offset) {
  if (chunk_number >= geometry.chunk_count()) return geometry.size_bytes;
  return std::max(offset, geometry.chunk_offset(chunk_number));
}

Result<std::uint64_t> VolumeReader::seek_data(std::uint64_t offset) {
  if (offset >= size_bytes()) return size_bytes();
  Result<std::uint64_t> chunk_number = map_.next_data(offset / map_.geometry().chunk_size_bytes);
  if (!chunk_number.ok()) return chunk_number;
  return byte_of(map_.geometry(), *chunk_number, offset);
}

Result<std::uint64_t> VolumeReader::seek_hole(std::uint64_t offset) {
  if (offset >= size_bytes()) return size_bytes();
  Result<std::uint64_t> chunk_number = map_.next_zero(offset / map_.geometry().chunk_size_bytes);
  if (!chunk_number.ok()) return chunk_number;
  return byte_of(map_.geometry(), *chunk_number, offset);
}

}  // namespace vzv
