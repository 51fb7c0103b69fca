// What is to be mounted: the JSON document that vzvault-fuse reads from an inherited descriptor. docs/mount.md is its
// schema.
//
// The parser is strict: an unknown field, a duplicate key, a path that leaves the mount or a geometry that cannot be is
// refused as a whole, since whoever wrote it meant something that would not be done. Pure functions, but for
// read_mount_spec().
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/archive/stream_map.h"
#include "core/base/id.h"
#include "core/base/secret_key.h"
#include "core/base/status.h"
#include "core/chunk/volume_geometry.h"

namespace vzv::fuse {

struct VolumeSpec {
  VolumeGeometry geometry;
  Id root;
};

struct ArchiveSpec {
  StreamMap data;
  StreamMap catalogue;
};

// An archive as one tar file, and as a directory.
struct ArchiveTarSpec {
  ArchiveSpec archive;
};
struct ArchiveTreeSpec {
  ArchiveSpec archive;
};

struct NodeSpec {
  std::string path;  // relative, components joined by '/'
  std::variant<VolumeSpec, Bytes, ArchiveTarSpec, ArchiveTreeSpec> content;
  std::int64_t modified_seconds = 0;
};

struct MountSpec {
  std::string repository;       // absolute
  std::string cache_directory;  // absolute
  std::uint64_t cache_bytes = 0;
  bool allow_other = false;
  bool has_key = false;         // the spec had one, which take_key() took
  std::string key_fingerprint;  // which that must have; empty: any
  std::vector<NodeSpec> nodes;
};

// E_ARGUMENT_INVALID naming the field. A key must have been taken out of the text before (mount_key.h).
Result<MountSpec> parse_mount_spec(std::string_view json);

// Reads `fd` to its end, waiting at most `timeout_ms` for each piece. E_ARGUMENT_INVALID where it cannot be read, is
// longer than the limit, or does not end in time.
Result<SecretText> read_mount_spec(int fd, int timeout_ms);

}  // namespace vzv::fuse
