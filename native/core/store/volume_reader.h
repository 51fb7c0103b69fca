// A volume of a snapshot as bytes: what a restored disk, a mount and a verification read.
//
// Every byte that is answered is proven by its chunk's id, or is a zero of a hole that the map proves. A read that
// meets a damaged chunk is an error as a whole.
//
// Thread-safe.
#pragma once

#include <cstdint>
#include <span>

#include "core/store/map_reader.h"

namespace vzv {

class VolumeReader {
 public:
  // REQUIRES: the reader outlives this. The geometry is valid.
  VolumeReader(VolumeGeometry geometry, const Id& root, ChunkReader& reader)
      : map_(geometry, root, reader), reader_(reader) {}

  std::uint64_t size_bytes() const { return map_.geometry().size_bytes; }
  MapReader& map() { return map_; }

  // Fills `buffer` from `offset`. E_ARGUMENT_INVALID unless the range lies within the volume.
  Status read(std::uint64_t offset, std::span<std::uint8_t> buffer);
  // Of the first byte at or after `offset` that lies in a chunk with data (or in one that is all zero); size_bytes()
  // when there is none, or when `offset` lies beyond the end.
  Result<std::uint64_t> seek_data(std::uint64_t offset);
  Result<std::uint64_t> seek_hole(std::uint64_t offset);

 private:
  MapReader map_;
  ChunkReader& reader_;
};

}  // namespace vzv
