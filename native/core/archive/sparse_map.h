// What the maps of sparse members say, whichever of GNU tar's formats they come in, made into extents that can be
// relied on (GNU tar manual, "Storing Sparse Files"). Pure but for reading from the window it is given.
#pragma once

#include <cstdint>
#include <vector>

#include "core/archive/member.h"
#include "core/archive/tar_input.h"

namespace vzv {

// What a map's data takes of the `available` bytes that are stored, of which GNU tar lets any number behind it go
// unused. All of them where that cannot be told: where data begins within a block, as only others write it.
std::uint64_t mapped_bytes(const std::vector<MemberExtent>& ranges, std::uint64_t available);

// Checks the ranges of a map and leaves out empty ones; those that touch become one. Ascending, apart, within
// size_bytes, of stored_bytes in all; E_ARCHIVE_INVALID otherwise.
Result<std::vector<MemberExtent>> check_sparse_map(std::vector<MemberExtent> ranges, std::uint64_t size_bytes,
                                                   std::uint64_t stored_bytes);

// The ranges of a map that was written as numbers: offset, length, offset, … `entries` is how many it is said to have.
Result<std::vector<MemberExtent>> sparse_ranges(const std::vector<std::uint64_t>& numbers, std::uint64_t entries);

// Format 1.0: the map stands before the data, a decimal number a line (their count, then offset and length of each),
// filled up to a block. Reads it, at most `available` bytes, and answers how many it took. E_ARCHIVE_INVALID.
Result<std::uint64_t> read_sparse_map(TarWindow& window, std::uint64_t available, std::vector<MemberExtent>& ranges);

}  // namespace vzv
