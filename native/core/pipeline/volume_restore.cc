#include "core/pipeline/volume_restore.h"

#include <algorithm>
#include <memory>

#include "core/pipeline/map_walk.h"
#include "core/pipeline/restore_target.h"

namespace vzv {

Status restore_volume(MapReader& map, ChunkReader& chunks, const RestoreTargetPath& target_path, CopyCounters& counters,
                      const CancelToken& cancel) {
  const VolumeGeometry& geometry = map.geometry();
  counters.total_bytes = geometry.size_bytes;
  Result<std::unique_ptr<RestoreTarget>> opened =
      RestoreTarget::open(target_path.path, target_path.overwrite, geometry.size_bytes);
  if (!opened.ok()) return opened.status();
  RestoreTarget& target = **opened;

  MapVisitor visitor;
  visitor.zero = [&](std::uint64_t first_chunk, std::uint64_t count) -> Status {
    const std::uint64_t offset = geometry.chunk_offset(first_chunk);
    const std::uint64_t end = std::min(geometry.chunk_offset(first_chunk + count), geometry.size_bytes);
    VZV_TRY(target.zero(offset, end - offset, cancel));
    counters.hole_bytes += end - offset;
    counters.processed_bytes += end - offset;
    return {};
  };
  visitor.data = [&](std::uint64_t chunk, const Id& id) -> Status {
    Result<ChunkReader::Chunk> plain = chunks.read(id, ChunkType::kData, geometry.chunk_length(chunk));
    if (!plain.ok()) return plain.status();
    VZV_TRY(target.write(geometry.chunk_offset(chunk), **plain));
    counters.processed_bytes += (*plain)->size();
    return {};
  };
  VZV_TRY(walk_map(map, cancel, visitor));
  VZV_TRY(cancel.status());
  return target.finish();
}

}  // namespace vzv
