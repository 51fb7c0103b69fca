// An archive of a mount as its two streams, and the read-ahead over its data.
//
// Threads: any. The ChunkReader and the pool outlive archives; archives outlive the streams that follow them.
#pragma once

#include <cstdint>
#include <mutex>
#include <span>
#include <string>

#include "core/archive/stream_map.h"
#include "fuse/mount_spec.h"
#include "fuse/prefetched.h"
#include "fuse/read_ahead.h"

namespace vzv::fuse {

class Archive : public Prefetched {
 public:
  // `path` is the node's, for messages.
  Archive(std::string path, const ArchiveSpec& spec, ChunkReader& chunks)
      : path_(std::move(path)),
        catalogue_(spec.catalogue, ChunkType::kCatalogue, chunks),
        data_(spec.data, ChunkType::kData, chunks) {}

  const std::string& path() const { return path_; }
  StreamReader& catalogue() { return catalogue_; }
  StreamReader& data() { return data_; }

  // By an offset in the data.
  void prefetch(std::uint64_t offset) override;

 private:
  const std::string path_;
  StreamReader catalogue_;
  StreamReader data_;
};

// Follows reads of an archive's data: those of one open file, or of all small files one after the other, since programs
// that copy a tree read it in the order of the archive. Once they go on into the next piece, pieces are decoded ahead;
// a read that jumps starts over. As ReadStream does for volumes. Threads: any.
class ArchiveStream {
 public:
  ArchiveStream(Archive& archive, ReadAheadPool& pool) : archive_(archive), pool_(pool), streaming_(pool) {}
  ArchiveStream(const ArchiveStream&) = delete;
  ArchiveStream& operator=(const ArchiveStream&) = delete;

  // Reads the archive's data. REQUIRES: within the data's size
  Status read(std::uint64_t offset, std::span<std::uint8_t> buffer);

 private:
  void note(std::uint64_t begin, std::uint64_t end);
  void request_ahead();

  Archive& archive_;
  ReadAheadPool& pool_;
  std::mutex mutex_;
  // All guarded by mutex_; offsets in the data.
  Streaming streaming_;
  std::uint64_t front_ = 0;      // the furthest byte that was read
  std::uint64_t piece_end_ = 0;  // of the piece that holds it; 0: nothing was read yet
  std::uint64_t requested_ = 0;  // pieces up to here were asked for
};

}  // namespace vzv::fuse
