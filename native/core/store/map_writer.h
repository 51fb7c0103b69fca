// Builds a volume's map from chunk ids that come in ascending order, on top of a base map or of nothing.
//
// Only nodes on the way to a chunk that was set are read and written: O(changed), whatever the disk's size. Holds one
// node a level in memory. A node that ends up as it was in the base keeps its id without being put again.
//
// One thread at a time.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "core/chunk/volume_geometry.h"
#include "core/store/chunk_reader.h"
#include "core/store/chunk_writer.h"
#include "core/store/map_node.h"

namespace vzv {

class MapWriter {
 public:
  // A map of the same geometry.
  struct Base {
    Id root;
    ChunkReader& reader;
  };

  // REQUIRES: the writer (and the base's reader) outlive this. The geometry is valid.
  MapWriter(VolumeGeometry geometry, ChunkWriter& writer, std::optional<Base> base = std::nullopt);

  // Chunk `chunk_number` has this id; the zero sentinel makes it zero. Numbers that are skipped are as in the base,
  // zero without one. REQUIRES: chunk_number < chunk_count(), above the last one set.
  Status set(std::uint64_t chunk_number, const Id& id);

  // The same for `count` chunks that become zero. Subtrees that lie in them whole are neither read nor counted through.
  // REQUIRES: as for set()
  Status set_zero(std::uint64_t first_chunk, std::uint64_t count);

  // The root's id, the zero sentinel where all is zero. Nothing can be set afterwards. The nodes are durable after the
  // ChunkWriter's flush().
  Result<Id> finish();

 private:
  // The node of one level on the way to the chunk that was set last.
  struct Level {
    bool open = false;
    std::uint64_t first_chunk = 0;
    Id base_id;  // of this node in the base; zero sentinel when it was all zero or there is no base
    std::vector<Id> base_children;
    std::vector<Id> children;
  };

  // Opens the nodes on the way to a child of the node of `level` that begins at `first_chunk`.
  Status open_path(unsigned level, std::uint64_t first_chunk);
  std::size_t position_in_parent(unsigned level) const;
  Status open_node(unsigned level, std::uint64_t first_chunk);
  // The id of the node as it has become, which is put if it is new.
  Result<Id> close_node(unsigned level);
  // Closes the open nodes of levels 0 … level, each into its parent.
  Status close_up_to(unsigned level);

  const VolumeGeometry geometry_;
  ChunkWriter& writer_;
  const std::optional<Base> base_;
  std::vector<Level> levels_;     // by level; the root is the last
  std::uint64_t next_chunk_ = 0;  // the least that set() takes
  Id root_;                       // once the root is closed
};

}  // namespace vzv
