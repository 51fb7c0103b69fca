// A volume that is open: the file, and the read-ahead of its reader. Threads: any.
#pragma once

#include <string>

#include "fuse/open_file.h"
#include "fuse/read_ahead.h"
#include "fuse/volume_file.h"

namespace vzv::fuse {

class OpenVolume : public OpenFile {
 public:
  // REQUIRES: volume and pool outlive this.
  OpenVolume(VolumeFile& volume, ReadAheadPool& pool) : volume_(volume), stream_(volume, pool) {}

  std::string path() const override { return volume_.path(); }
  std::uint64_t size_bytes() const override { return volume_.geometry().size_bytes; }
  Status read(std::uint64_t offset, std::span<std::uint8_t> buffer) override {
    if (!buffer.empty()) stream_.note(offset, buffer.size());
    return volume_.read(offset, buffer);
  }
  Result<std::uint64_t> seek_data(std::uint64_t offset) override { return volume_.seek_data(offset); }
  Result<std::uint64_t> seek_hole(std::uint64_t offset) override { return volume_.seek_hole(offset); }

 private:
  VolumeFile& volume_;
  ReadStream stream_;
};

}  // namespace vzv::fuse
