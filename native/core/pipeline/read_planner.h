// Decides what of a source is read, and in which pieces: chunks that are known to be zero are passed over, neighbouring
// chunks with data are read together, and never a known hole.
//
// One thread, that of the source. Memory: one answer of the source about its extents.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "core/chunk/volume_geometry.h"
#include "core/source/block_source.h"

namespace vzv {

// Chunks that share a buffer. The pieces cover them exactly, in order; pieces that are zero are not read.
struct ReadPlan {
  std::uint64_t first_chunk = 0;
  std::uint32_t chunk_count = 0;
  std::vector<Extent> pieces;
};

class ReadPlanner {
 public:
  // REQUIRES: the source outlives this and has the geometry's size; read_bytes is a multiple of the chunk size.
  ReadPlanner(BlockSource& source, VolumeGeometry geometry, std::uint32_t read_bytes)
      : source_(source), geometry_(geometry), read_bytes_(read_bytes) {}

  // The next chunks with data. One without chunks when zero chunks were passed over instead: ask again. None at the
  // end.
  Result<std::optional<ReadPlan>> next();

  // Bytes of the chunks that were passed over so far.
  std::uint64_t passed_over_bytes() const { return passed_over_; }

 private:
  // Asks the source until its extents are known up to `end`.
  Status know_up_to(std::uint64_t end);
  // Takes what is known of [position_, end).
  std::vector<Extent> take(std::uint64_t end);
  bool known_zero(std::uint64_t end) const;
  // The end of the chunk that begins at position_.
  std::uint64_t chunk_end() const;
  Result<bool> pass_over_zero_chunks();

  BlockSource& source_;
  const VolumeGeometry geometry_;
  const std::uint32_t read_bytes_;
  std::uint64_t position_ = 0;  // the start of a chunk, or the end of the volume
  std::uint64_t passed_over_ = 0;
  std::deque<Extent> known_;  // from position_ on, without gaps; neighbours differ in kind
};

}  // namespace vzv
