// One member of an archive: a file, directory, link or device of a container, as tar's headers describe it.
//
// Paths are joined by '/', without a leading "./" or '/', of any bytes but NUL; no component is empty, "." or ".."; the
// empty path is the archive's root. What reads a tar stream and what reads a catalogue hold members to the same rules,
// which member_problem() states. Plain data; all functions are pure and thread-safe.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace vzv {

enum class MemberType : std::uint8_t {
  kFile = 1,
  kDirectory = 2,
  kSymlink = 3,
  kHardLink = 4,
  kCharDevice = 5,
  kBlockDevice = 6,
  kFifo = 7,
  // In a catalogue only: further extents of the file of the record before, with nothing else.
  kMoreExtents = 8,
};

// A range [offset, offset + length) of a file that holds data.
struct MemberExtent {
  std::uint64_t offset = 0;
  std::uint64_t length = 0;

  bool operator==(const MemberExtent&) const = default;
};

struct Xattr {
  std::string name;   // with its prefix, "user.comment"
  std::string value;  // any bytes

  bool operator==(const Xattr&) const = default;
};

struct Member {
  MemberType type = MemberType::kFile;
  std::string path;
  std::uint32_t mode = 0;  // the twelve permission bits
  std::uint32_t uid = 0;   // as the container has it
  std::uint32_t gid = 0;
  std::int64_t mtime_seconds = 0;  // since 1970, down from the true time
  std::uint32_t mtime_nanoseconds = 0;

  // Files. stored_bytes is what the data stream holds of it: all of it, or the extents of a sparse one.
  std::uint64_t size_bytes = 0;
  std::uint64_t stored_bytes = 0;
  bool sparse = false;
  // Of a sparse file, ascending, none empty, none touching another. In a record of a catalogue these may be the first
  // of more.
  std::vector<MemberExtent> extents;

  // Of a symbolic link any text; of a hard link the path of the member that it is another name of.
  std::string link_target;

  std::uint32_t device_major = 0;
  std::uint32_t device_minor = 0;

  std::vector<Xattr> xattrs;  // names ascending, each once
  std::string acl_access;     // as acl.h spells it; empty: none
  std::string acl_default;

  bool operator==(const Member&) const = default;
};

// What is wrong with a path, such as "a component is '..'"; empty where nothing is.
std::string path_problem(std::string_view path);

// What keeps a member from being kept; empty where nothing does. Looks at everything but whether the extents make up
// stored_bytes, which one record need not list all of (extents_problem).
std::string member_problem(const Member& member);

// What is wrong with the whole list of a sparse file's extents, whose data takes stored_bytes; empty where nothing is.
std::string extents_problem(const std::vector<MemberExtent>& extents, std::uint64_t size_bytes,
                            std::uint64_t stored_bytes);

// S_IFREG and its like (stat(2), st_mode); 0 of what is no file of its own, which has those of another member.
mode_t file_type_bits(MemberType type);

// A path or other text as a message may show it: control characters and what is not ASCII as \ooo, cut after 200 bytes.
std::string printable(std::string_view text);

}  // namespace vzv
