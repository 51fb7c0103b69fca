// The 512-byte header of a tar member, in the three dialects that are in use: POSIX ustar, GNU, and V7 before them (GNU
// tar manual, "Basic Tar Format"; POSIX pax, "ustar Interchange Format").
//
// Takes bytes of any origin; what is wrong is answered in words that stand behind "byte N of the tar stream: ".
// Pure, thread-safe.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/archive/member.h"
#include "core/archive/tar_input.h"

namespace vzv {

struct TarHeader {
  char type = '0';
  std::string name;  // with the prefix of ustar
  std::string link_name;
  std::uint32_t mode = 0;
  std::uint64_t uid = 0;
  std::uint64_t gid = 0;
  std::uint64_t size_bytes = 0;  // of the data behind the header
  std::int64_t mtime_seconds = 0;
  std::uint64_t device_major = 0;
  std::uint64_t device_minor = 0;
};

using TarBlock = std::span<const std::uint8_t, kTarBlockBytes>;

// A block of zeroes: two of them end the archive.
bool is_end_block(TarBlock block);

// E_ARCHIVE_INVALID.
Result<TarHeader> parse_tar_header(TarBlock block);

// A number of a header: octal text, or base 256 where the first bit is set. E_ARCHIVE_INVALID naming the field.
Result<std::int64_t> parse_tar_number(ByteSpan field, std::string_view name);

// The extents that an old GNU sparse header (type S) holds, or one of the blocks that follow it. `more`: another block
// follows. Entries may be empty; the caller checks what they say together. E_ARCHIVE_INVALID.
struct OldSparsePart {
  std::vector<MemberExtent> extents;
  bool more = false;
};
Result<OldSparsePart> parse_old_sparse_header(TarBlock block, std::uint64_t& real_size_bytes);
Result<OldSparsePart> parse_old_sparse_block(TarBlock block);

}  // namespace vzv
