// Decides what of a source is read, and in which pieces: chunks that are known to be zero are passed over, neighbouring
// chunks with data are read together, and never a known hole.
//
// With dirty regions nothing outside them is read, nor asked about. They are checked here: a region that is empty, not
// behind the one before it, not within the volume, or that begins or ends within a chunk is E_SOURCE_BITMAP.
//
// One thread, that of the source. Memory: one answer of the source about its extents.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "core/chunk/volume_geometry.h"
#include "core/source/block_source.h"
#include "core/source/dirty_regions.h"

namespace vzv {

// Neighbouring chunks. Those that share a buffer have pieces that cover them exactly, in order; pieces that are zero
// are not read. Without pieces all of the chunks, perhaps very many, are known to be zero.
struct ReadPlan {
  std::uint64_t first_chunk = 0;
  std::uint64_t chunk_count = 0;
  std::vector<Extent> pieces;

  bool is_zero() const { return pieces.empty(); }
};

class ReadPlanner {
 public:
  // `dirty` null: all of the source is to be read. REQUIRES: source and regions outlive this; the source has the
  // geometry's size; read_bytes is a multiple of the chunk size.
  ReadPlanner(BlockSource& source, VolumeGeometry geometry, std::uint32_t read_bytes, DirtyRegions* dirty = nullptr)
      : source_(source), geometry_(geometry), read_bytes_(read_bytes), dirty_(dirty) {}

  // The next chunks that must be looked at, in ascending order. None at the end.
  Result<std::optional<ReadPlan>> next();

  // Bytes outside the dirty regions, as far as it has come.
  std::uint64_t unchanged_bytes() const { return unchanged_; }

 private:
  // Goes on to the next region. False at the end.
  Result<bool> enter_region();
  Status check_region(const Range& region) const;
  // Asks the source until its extents are known up to `end`.
  Status know_up_to(std::uint64_t end);
  // Takes what is known of [position_, end).
  std::vector<Extent> take(std::uint64_t end);
  bool known_zero(std::uint64_t end) const;
  // The end of the chunk that begins at position_.
  std::uint64_t chunk_end() const;
  // Chunks from position_ on that are zero, 0 where the first is not.
  Result<std::uint64_t> pass_over_zero_chunks();

  BlockSource& source_;
  const VolumeGeometry geometry_;
  const std::uint32_t read_bytes_;
  DirtyRegions* const dirty_;
  std::uint64_t position_ = 0;    // the start of a chunk, or the end of the volume
  std::uint64_t region_end_ = 0;  // of the region that position_ is in
  bool ended_ = false;            // no region follows
  std::uint64_t unchanged_ = 0;
  std::deque<Extent> known_;  // from position_ on, without gaps, up to region_end_ at most; neighbours differ in kind
};

}  // namespace vzv
