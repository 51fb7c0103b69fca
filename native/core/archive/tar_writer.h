// Members of root.tar, generated from a catalogue: what stands before a file's data, and how much room its data takes.
//
// GNU tar reads an archive in records of 10,240 bytes and passes over the data of a member by seeking, but only over
// whole records (buffer.c, seek_archive); a listing of an ordinary archive therefore reads all small files. Here data
// begins and ends where records do, so that it reads none:
// - a file's data begins at a record's start: the pax header before it is filled up by a comment;
// - it ends at a record's end, filled up by zeroes. Only a sparse member's stored length says nothing about the file's
//   length, so every file with data is one (PAX sparse format 1.0), with a map of one range where it has no holes.
// Files of kTarPlainFileMinBytes and more without holes are ordinary members, since tar unpacks those faster (extract.c
// writes records, sparse.c blocks): a listing then reads their last record.
// What the classic header has no room for goes into the pax header: long names, large numbers, times to the nanosecond,
// extended attributes, ACLs. Names are "./" and "./path". Pure functions, thread-safe.
#pragma once

#include <cstdint>

#include "core/archive/member.h"
#include "core/archive/tar_map.h"
#include "core/base/id.h"

namespace vzv {

inline constexpr std::uint64_t kTarRecordBytes = 20 * kTarBlockBytes;

// A member's parts, in this order, all in whole blocks.
struct TarShape {
  std::uint64_t header_bytes = 0;  // pax header, where there is one, and classic header
  std::uint64_t map_bytes = 0;     // 0: no sparse member
  std::uint64_t data_bytes = 0;    // with what fills them up

  std::uint64_t total_bytes() const { return header_bytes + map_bytes + data_bytes; }
  bool operator==(const TarShape&) const = default;
};

// Of a member whose header begins at `tar_offset`. `map` is a file's own. REQUIRES: tar_offset in whole blocks
TarShape tar_shape(const Member& member, const TarMap& map, std::uint64_t tar_offset);

// The first header_bytes of the member. REQUIRES: `shape` is what tar_shape() answered
Bytes tar_member_header(const Member& member, const TarShape& shape);

}  // namespace vzv
