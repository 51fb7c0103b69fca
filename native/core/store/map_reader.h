// Looks chunks up in a volume's map.
//
// Nodes come from the ChunkReader, whose cache is what makes neighbouring lookups cheap. Every node is checked against
// the place it stands in: a map that is damaged, or another volume's, is E_MAP_DAMAGED or E_CHUNK_*, never a wrong id.
//
// Thread-safe.
#pragma once

#include <cstdint>

#include "core/chunk/volume_geometry.h"
#include "core/store/chunk_reader.h"
#include "core/store/map_node.h"

namespace vzv {

class MapReader {
 public:
  // REQUIRES: the reader outlives this. The geometry is valid.
  MapReader(VolumeGeometry geometry, const Id& root, ChunkReader& reader)
      : geometry_(geometry), root_(root), reader_(reader) {}

  const VolumeGeometry& geometry() const { return geometry_; }
  const Id& root() const { return root_; }

  // The zero sentinel for a chunk that is all zero. E_ARGUMENT_INVALID unless chunk_number < chunk_count().
  Result<Id> chunk(std::uint64_t chunk_number);
  // The first chunk at or after chunk_number that is not (or is) all zero; chunk_count() when there is none. Subtrees
  // that are all zero are skipped in one step.
  Result<std::uint64_t> next_data(std::uint64_t chunk_number) { return next(chunk_number, true); }
  Result<std::uint64_t> next_zero(std::uint64_t chunk_number) { return next(chunk_number, false); }

 private:
  Result<std::uint64_t> next(std::uint64_t chunk_number, bool data);
  Result<std::uint64_t> next_in(const Id& node, unsigned level, std::uint64_t first_chunk, std::uint64_t from,
                                bool data);
  Result<std::vector<Id>> children(const Id& node, unsigned level, std::uint64_t first_chunk);

  const VolumeGeometry geometry_;
  const Id root_;
  ChunkReader& reader_;
};

}  // namespace vzv
