// A file of an archive that is open in its tree: data from the archive's data stream, zeroes for its holes.
//
// Threads: any. Immutable but for the stream.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/archive/member.h"
#include "fuse/archive.h"
#include "fuse/open_file.h"

namespace vzv::fuse {

class OpenMember : public OpenFile {
 public:
  struct File {
    std::function<std::string()> path;  // below the mount; asked for where there is something to tell
    std::uint64_t size_bytes = 0;
    std::uint64_t data_offset = 0;  // in the archive's data
    bool sparse = false;            // extents has all of its data; else all of it is data
    std::vector<MemberExtent> extents;
  };

  // Follows reads with the stream of all small files of the archive, which outlives this, or with one of its own.
  OpenMember(File file, ArchiveStream& shared);
  OpenMember(File file, Archive& archive, ReadAheadPool& pool);

  std::string path() const override { return file_.path(); }
  std::uint64_t size_bytes() const override { return file_.size_bytes; }
  Status read(std::uint64_t offset, std::span<std::uint8_t> buffer) override;
  Result<std::uint64_t> seek_data(std::uint64_t offset) override;
  Result<std::uint64_t> seek_hole(std::uint64_t offset) override;

 private:
  void sum_up();
  // The first extent that ends behind the offset; their number where there is none.
  std::size_t extent_at(std::uint64_t offset) const;

  const File file_;
  std::optional<ArchiveStream> own_;
  ArchiveStream& stream_;
  std::vector<std::uint64_t> stored_before_;  // of each extent: the file's stored bytes before it
};

}  // namespace vzv::fuse
