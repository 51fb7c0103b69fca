// A repository for tests, and backup and restore against it.
#pragma once

#include <doctest/doctest.h>

#include <filesystem>
#include <memory>
#include <string>

#include "core/pipeline/volume_backup.h"
#include "core/pipeline/volume_restore.h"
#include "core/source/open_source.h"
#include "core/store/chunk_reader.h"
#include "core/store/chunk_writer.h"
#include "core/store/map_reader.h"
#include "test/support/scratch.h"

namespace vzv::test {

constexpr std::uint64_t kKiB = 1024;
constexpr std::uint64_t kMiB = 1024 * kKiB;
constexpr std::uint64_t kGiB = 1024 * kMiB;
constexpr std::uint32_t kChunk = 512 * kKiB;

// Takes the value or fails the test with the error's words.
template <typename T>
T expect(Result<T> result) {
  INFO(code_name(result.status().code()), " ", result.status().message());
  REQUIRE(result.ok());
  return std::move(result).value();
}
inline void expect(const Status& status) {
  INFO(code_name(status.code()), " ", status.message());
  REQUIRE(status.ok());
}

// What a finished backup is known by.
struct Volume {
  VolumeGeometry geometry;
  Id root;
};

class Repository {
 public:
  // In a directory of its own, or in one that is given (a small file system, say).
  explicit Repository(std::string path = "") : path_(path.empty() ? scratch_ / "repository" : std::move(path)) {
    std::filesystem::create_directories(path_);
    dir = expect(RepositoryDir::open(path_));
    reopen();
  }

  // A new view of what lies on disk.
  void reopen() {
    index = expect(Index::open(dir, scratch_ / "cache"));
    reader = std::make_unique<ChunkReader>(dir, index, 16 * kMiB);
  }
  const std::string& path() const { return path_; }
  std::unique_ptr<ChunkWriter> writer() { return expect(ChunkWriter::create(dir, index)); }

  // Backs up and makes durable, or fails the test.
  Volume backup(BlockSource& source, BackupCounters& counters, std::uint32_t chunk_size_bytes = kChunk) {
    CancelToken cancel;
    auto chunks = writer();
    VolumeBackupOptions options;
    options.chunk_size_bytes = chunk_size_bytes;
    const VolumeBackupResult result = expect(backup_volume(source, *chunks, options, counters, cancel));
    expect(chunks->flush());
    return {result.geometry, result.root};
  }
  Volume backup(const SourceAddress& address, BackupCounters& counters, std::uint32_t chunk_size_bytes = kChunk) {
    CancelToken cancel;
    auto source = expect(open_source(address, SourceOptions{}, cancel));
    return backup(*source, counters, chunk_size_bytes);
  }

  // Restores to a new file, or fails the test.
  void restore(const Volume& volume, const std::string& path, CopyCounters& counters, bool overwrite = false) {
    CancelToken cancel;
    MapReader map(volume.geometry, volume.root, *reader);
    expect(restore_volume(map, *reader, {path, overwrite}, counters, cancel));
  }
  Bytes restored(const Volume& volume) {
    CopyCounters counters;
    const std::string path = scratch_ / "restored";
    restore(volume, path, counters, true);
    CHECK(counters.processed_bytes == volume.geometry.size_bytes);
    CHECK(counters.total_bytes == volume.geometry.size_bytes);
    return read_file(path);
  }

  std::shared_ptr<RepositoryDir> dir;
  std::shared_ptr<Index> index;
  std::unique_ptr<ChunkReader> reader;

 private:
  ScratchDirectory scratch_;
  const std::string path_;
};

inline void check_complete(const BackupCounters& counters) {
  CHECK(counters.processed_bytes == counters.size_bytes);
  CHECK(counters.zero_bytes + counters.reused_bytes + counters.new_bytes == counters.size_bytes);
}

}  // namespace vzv::test
