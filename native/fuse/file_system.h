// The answers to the kernel's requests: libfuse's low-level operations over a NodeTree.
//
// Read-only and immutable: the kernel may keep names, attributes and data as long as it likes. A read either answers
// bytes that the store has proven or fails as a whole with EIO and a line in the log; a short answer would make the
// kernel fill up with zeroes. Threads: operations run on any, at once. The tree, the pool and the log outlive this.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <optional>
#include <unordered_map>

#include "fuse/fuse_api.h"
#include "fuse/log.h"
#include "fuse/node_tree.h"
#include "fuse/read_ahead.h"

namespace vzv::fuse {

struct RequestCounters {
  std::uint64_t reads = 0;
  std::uint64_t read_bytes = 0;
  std::uint64_t faults = 0;  // requests answered with EIO
  std::uint64_t open_files = 0;
};

class FileSystem {
 public:
  FileSystem(NodeTree& tree, ReadAheadPool& pool, Log& log) : tree_(tree), pool_(pool), log_(log) {}

  // For fuse_session_new(), with `this` as user data.
  static const fuse_lowlevel_ops& operations();

  RequestCounters counters() const;

 private:
  struct OpenFile {
    explicit OpenFile(Node& node) : node(node) {}
    Node& node;
    std::optional<ReadStream> stream;  // of a volume
  };

  static FileSystem& of(fuse_req_t request);
  static void init(void* userdata, fuse_conn_info* connection);
  static void lookup(fuse_req_t request, fuse_ino_t parent, const char* name);
  static void getattr(fuse_req_t request, fuse_ino_t inode, fuse_file_info* info);
  static void open(fuse_req_t request, fuse_ino_t inode, fuse_file_info* info);
  static void release(fuse_req_t request, fuse_ino_t inode, fuse_file_info* info);
  static void read(fuse_req_t request, fuse_ino_t inode, std::size_t size, off_t offset, fuse_file_info* info);
  static void lseek(fuse_req_t request, fuse_ino_t inode, off_t offset, int whence, fuse_file_info* info);
  static void opendir(fuse_req_t request, fuse_ino_t inode, fuse_file_info* info);
  static void readdir(fuse_req_t request, fuse_ino_t inode, std::size_t size, off_t offset, fuse_file_info* info);
  static void statfs(fuse_req_t request, fuse_ino_t inode);

  void attributes(Node& node, struct stat& attributes);
  void read_volume(fuse_req_t request, OpenFile& file, std::uint64_t offset, std::uint64_t length);
  void seek_volume(fuse_req_t request, VolumeFile& volume, std::uint64_t offset, int whence);
  void fail(fuse_req_t request, const VolumeFile& volume, const std::string& doing, const Status& status);

  NodeTree& tree_;
  ReadAheadPool& pool_;
  Log& log_;
  std::atomic<std::uint64_t> reads_{0};
  std::atomic<std::uint64_t> read_bytes_{0};
  std::atomic<std::uint64_t> faults_{0};
  mutable std::mutex mutex_;
  // Guarded by mutex_. The key is the kernel's file handle. A mount that is torn down leaves files open: they end here.
  std::unordered_map<std::uint64_t, std::unique_ptr<OpenFile>> open_files_;
};

}  // namespace vzv::fuse
