// root.tar of a mount: an archive as one regular file, made while it is read.
//
// Its size is known after one pass over the catalogue, made when somebody first asks. It is opened past the page cache:
// the kernel's read-ahead would decode data that a listing passes over. Threads: any.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "core/archive/tar_layout.h"
#include "fuse/archive.h"
#include "fuse/open_file.h"

namespace vzv::fuse {

class ArchiveTar {
 public:
  explicit ArchiveTar(std::unique_ptr<Archive> archive) : archive_(std::move(archive)) {}

  const std::string& path() const { return archive_->path(); }
  // E_CATALOGUE_DAMAGED, E_MAP_DAMAGED, E_CHUNK_*: asked for again, it tries again.
  Result<std::shared_ptr<const TarLayout>> layout();
  // REQUIRES: this outlives the file.
  std::unique_ptr<OpenFile> open(std::shared_ptr<const TarLayout> layout, ReadAheadPool& pool);

 private:
  const std::unique_ptr<Archive> archive_;
  std::mutex mutex_;
  std::shared_ptr<const TarLayout> layout_;  // guarded by mutex_
};

}  // namespace vzv::fuse
