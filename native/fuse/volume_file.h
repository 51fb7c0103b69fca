// A volume as a file: bytes, holes, and how much of it is allocated. The readers of the store do the work.
//
// Threads: any. The ChunkReader is shared by all volumes of the mount and outlives them.
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/chunk/volume_geometry.h"
#include "core/store/chunk_reader.h"
#include "core/store/volume_reader.h"
#include "fuse/prefetched.h"

namespace vzv::fuse {

class VolumeFile : public Prefetched {
 public:
  // `path` is the file's, for messages.
  VolumeFile(std::string path, const VolumeGeometry& geometry, const Id& root, ChunkReader& chunks);

  const std::string& path() const { return path_; }
  const VolumeGeometry& geometry() const { return geometry_; }

  // REQUIRES: offset + buffer.size() <= geometry().size_bytes
  Status read(std::uint64_t offset, std::span<std::uint8_t> buffer);
  // The first byte at or after `offset` that lies in a chunk with data; the size where there is none. REQUIRES: offset
  // < size
  Result<std::uint64_t> seek_data(std::uint64_t offset);
  // The first byte at or after `offset` that lies in a zero chunk, or the size. REQUIRES: offset < size
  Result<std::uint64_t> seek_hole(std::uint64_t offset);

  // Number of the first chunk with data at or after `chunk_number`; chunk_count() where there is none.
  Result<std::uint64_t> next_data_chunk(std::uint64_t chunk_number);
  // By the chunk's number.
  void prefetch(std::uint64_t chunk_number) override;

  // An estimate of the bytes in chunks with data, exact for a map of one level: the density of a few paths through the
  // map, since counting would read all of it. Where a zero chunk was met, less than the size. Made once; a map that
  // cannot be read counts as full.
  std::uint64_t allocated_bytes();

 private:
  std::uint64_t estimate_allocated_bytes();
  Result<std::uint64_t> leaf_allocated_bytes();
  Result<std::vector<Id>> map_children(const Id& node, unsigned level, std::uint64_t first_chunk);

  const std::string path_;
  const VolumeGeometry geometry_;
  const Id root_;
  ChunkReader& chunks_;
  VolumeReader reader_;
  std::mutex mutex_;
  std::optional<std::uint64_t> allocated_bytes_;  // guarded by mutex_
};

}  // namespace vzv::fuse
