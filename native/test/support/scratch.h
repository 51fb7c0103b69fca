// Places and bytes for tests: directories, sparse files, loop devices, mounts, all gone afterwards.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/base/id.h"

namespace vzv::test {

// Bytes that look random and do not compress; the same for the same seed.
Bytes random_pattern(std::size_t length, std::uint64_t seed);

class ScratchDirectory {
 public:
  ScratchDirectory();
  ~ScratchDirectory();
  ScratchDirectory(const ScratchDirectory&) = delete;
  ScratchDirectory& operator=(const ScratchDirectory&) = delete;

  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

struct Piece {
  std::uint64_t offset;
  Bytes bytes;
};

// A file of that size with holes between the pieces.
void write_sparse(const std::string& path, std::uint64_t size_bytes, const std::vector<Piece>& pieces);
void write_file(const std::string& path, ByteSpan bytes);
Bytes read_file(const std::string& path);
std::uint64_t file_size(const std::string& path);
// What the file takes on its disk.
std::uint64_t allocated_bytes(const std::string& path);

// A block device over a file. Needs root.
class LoopDevice {
 public:
  explicit LoopDevice(const std::string& file);
  ~LoopDevice();
  LoopDevice(const LoopDevice&) = delete;
  LoopDevice& operator=(const LoopDevice&) = delete;

  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// A file system mounted on a directory of its own. Needs root.
class Mount {
 public:
  // The words between "mount" and the directory, such as {"-t", "tmpfs", "-o", "size=1m", "tmpfs"}.
  Mount(std::vector<std::string> arguments, std::string directory);
  ~Mount();
  Mount(const Mount&) = delete;
  Mount& operator=(const Mount&) = delete;

 private:
  std::string directory_;
};

}  // namespace vzv::test
