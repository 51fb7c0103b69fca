// Reading files that were opened with O_DIRECT, which takes whole blocks only, and sparing whole blocks of holes.
// Pure but for the one system call; thread-safe.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/source/block_source.h"

namespace vzv {

// As read_exactly_at(). Whole blocks are read in place, anything else through a buffer of its own: of a backup, that is
// the end of a disk that ends within a block.
int read_directly_at(int fd, std::uint64_t offset, std::span<std::uint8_t> into);

// The same extents with zero ones shrunk to their whole blocks, the end of the last one excepted. REQUIRES: in order
// and without gaps.
std::vector<Extent> aligned_extents(const std::vector<Extent>& extents);

}  // namespace vzv
