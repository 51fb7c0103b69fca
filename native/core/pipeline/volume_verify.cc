#include "core/pipeline/volume_verify.h"

#include <algorithm>
#include <atomic>

#include "core/pipeline/damages.h"
#include "core/pipeline/map_walk.h"

namespace vzv {

Result<VolumeVerifyResult> verify_volume(MapReader& map, ChunkReader& chunks, CopyCounters& counters,
                                         const CancelToken& cancel) {
  const VolumeGeometry& geometry = map.geometry();
  counters.total_bytes = geometry.size_bytes;
  const auto bytes_of = [&](std::uint64_t first_chunk, std::uint64_t count) {
    return std::min(geometry.chunk_offset(first_chunk + count), geometry.size_bytes) -
           geometry.chunk_offset(first_chunk);
  };
  std::atomic<std::uint64_t> chunks_read{0};
  Damages damages;
  std::string last_unreadable;

  MapVisitor visitor;
  visitor.zero = [&](std::uint64_t first_chunk, std::uint64_t count) -> Status {
    counters.hole_bytes += bytes_of(first_chunk, count);
    counters.processed_bytes += bytes_of(first_chunk, count);
    return {};
  };
  visitor.data = [&](std::uint64_t chunk, const Id& id) -> Status {
    Result<ChunkReader::Chunk> plain = chunks.read(id, ChunkType::kData, geometry.chunk_length(chunk));
    ++chunks_read;
    counters.processed_bytes += geometry.chunk_length(chunk);
    return plain.ok() ? Status() : damages.take(plain.status());
  };
  visitor.unreadable = [&](std::uint64_t first_chunk, std::uint64_t count, const Status& status) -> Status {
    counters.processed_bytes += bytes_of(first_chunk, count);
    // An inner node is met again for each of its leaves: one damage.
    if (status.message() == last_unreadable) return {};
    last_unreadable = status.message();
    return damages.take(status);
  };
  VZV_TRY(walk_map(map, cancel, visitor));
  VZV_TRY(cancel.status());
  Damages::List found = damages.list();
  return VolumeVerifyResult{chunks_read, found.count, std::move(found.listed)};
}

}  // namespace vzv
