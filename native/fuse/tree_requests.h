// The answers to the kernel's requests below the directory of an archive (docs/mount.md, The tree of an archive).
//
// Each request takes the tree it needs, which is made where it is not there; a tree that cannot be made fails the
// request with EIO. Threads: any. All that is passed in outlives this.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "fuse/archive_trees.h"
#include "fuse/faults.h"
#include "fuse/fuse_api.h"
#include "fuse/open_files.h"
#include "fuse/read_ahead.h"

namespace vzv::fuse {

class TreeRequests {
 public:
  TreeRequests(ArchiveTrees& trees, ReadAheadPool& pool, OpenFiles& open_files, Faults& faults);

  // REQUIRES, of all: is_tree_inode(inode)
  void lookup(fuse_req_t request, Inode parent, const char* name);
  void getattr(fuse_req_t request, Inode inode);
  void readlink(fuse_req_t request, Inode inode);
  void open(fuse_req_t request, Inode inode, fuse_file_info* info);
  void opendir(fuse_req_t request, Inode inode, fuse_file_info* info);
  // With each child's attributes where `plus`.
  void readdir(fuse_req_t request, Inode inode, std::size_t size, off_t offset, bool plus);
  void getxattr(fuse_req_t request, Inode inode, const char* name, std::size_t size);
  void listxattr(fuse_req_t request, Inode inode, std::size_t size);

  // Fills the entry of an archive's directory; false where its tree cannot be made, and then the request is answered.
  bool describe_root(fuse_req_t request, std::size_t ordinal, fuse_entry_param& entry);

 private:
  // A member and what it stands in.
  struct Found {
    std::shared_ptr<const ArchiveTree> tree;
    const TreeMember* member = nullptr;
    std::size_t ordinal = 0;
    TreeIndex index = 0;
  };

  // Answers the request where there is no such member, or it cannot be told.
  bool find(fuse_req_t request, Inode inode, Found& found);
  // The member's record; answers the request where it cannot be read.
  bool read_record(fuse_req_t request, const Found& found, const char* doing, CatalogueEntry& entry);
  fuse_entry_param entry_of(const Found& found) const;
  std::size_t add_child(fuse_req_t request, const Found& directory, std::uint64_t position, bool plus,
                        std::span<char> buffer);
  std::string path_of(const Found& found, const Member& member);
  // Of a member of which nothing else is known; that of the archive where it cannot be told.
  std::string path_of(Inode inode);

  ArchiveTrees& trees_;
  ReadAheadPool& pool_;
  OpenFiles& open_files_;
  Faults& faults_;
  std::vector<std::unique_ptr<ArchiveStream>> streams_;  // of each archive, for its small files
};

}  // namespace vzv::fuse
