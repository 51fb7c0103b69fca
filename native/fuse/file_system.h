// The answers to the kernel's requests: libfuse's low-level operations over the nodes of a mount. Those below the
// directory of an archive go on to TreeRequests, those of open files to OpenFiles.
//
// Read-only and immutable: the kernel may keep names, attributes and data as long as it likes. Threads: operations run
// on any, at once. The tree, the pool and the log outlive this.
#pragma once

#include <cstdint>

#include "fuse/faults.h"
#include "fuse/fuse_api.h"
#include "fuse/log.h"
#include "fuse/node_tree.h"
#include "fuse/open_files.h"
#include "fuse/read_ahead.h"
#include "fuse/tree_requests.h"

namespace vzv::fuse {

struct RequestCounters {
  std::uint64_t reads = 0;
  std::uint64_t read_bytes = 0;
  std::uint64_t faults = 0;  // requests answered with EIO
  std::uint64_t open_files = 0;
};

class FileSystem {
 public:
  FileSystem(NodeTree& tree, ReadAheadPool& pool, Log& log)
      : tree_(tree),
        pool_(pool),
        faults_(log),
        open_files_(faults_),
        trees_(tree.trees(), pool, open_files_, faults_) {}

  // For fuse_session_new(), with `this` as user data.
  static const fuse_lowlevel_ops& operations();

  RequestCounters counters() const;

 private:
  static FileSystem& of(fuse_req_t request);
  static void init(void* userdata, fuse_conn_info* connection);
  static void lookup(fuse_req_t request, fuse_ino_t parent, const char* name);
  static void getattr(fuse_req_t request, fuse_ino_t inode, fuse_file_info* info);
  static void readlink(fuse_req_t request, fuse_ino_t inode);
  static void open(fuse_req_t request, fuse_ino_t inode, fuse_file_info* info);
  static void release(fuse_req_t request, fuse_ino_t inode, fuse_file_info* info);
  static void read(fuse_req_t request, fuse_ino_t inode, std::size_t size, off_t offset, fuse_file_info* info);
  static void lseek(fuse_req_t request, fuse_ino_t inode, off_t offset, int whence, fuse_file_info* info);
  static void opendir(fuse_req_t request, fuse_ino_t inode, fuse_file_info* info);
  static void readdir(fuse_req_t request, fuse_ino_t inode, std::size_t size, off_t offset, fuse_file_info* info);
  static void readdirplus(fuse_req_t request, fuse_ino_t inode, std::size_t size, off_t offset, fuse_file_info* info);
  static void getxattr(fuse_req_t request, fuse_ino_t inode, const char* name, std::size_t size);
  static void listxattr(fuse_req_t request, fuse_ino_t inode, std::size_t size);
  static void statfs(fuse_req_t request, fuse_ino_t inode);

  // False where they cannot be told, and then the request is answered.
  bool attributes(fuse_req_t request, Node& node, struct stat& attributes);
  void open_node(fuse_req_t request, Node& node, fuse_file_info* info);
  void list_directory(fuse_req_t request, fuse_ino_t inode, std::size_t size, off_t offset, bool plus);

  NodeTree& tree_;
  ReadAheadPool& pool_;
  Faults faults_;
  OpenFiles open_files_;
  TreeRequests trees_;
};

}  // namespace vzv::fuse
