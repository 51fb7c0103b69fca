// The archives of a mount that are shown as trees, and their trees as far as memory allows.
//
// A tree is made when something in it is first asked for. Of the trees that nobody uses at the moment those that were
// used least lately go once all take more than kMountTreesBytes. Inodes of the k-th archive are those from (k + 1) <<
// kTreeInodeBits, in the order of the tree's members: the same whenever it is made again. Threads: any.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "core/base/limits.h"
#include "fuse/archive.h"
#include "fuse/archive_tree.h"

namespace vzv::fuse {

using Inode = std::uint64_t;

// Beyond any number of nodes of a mount, and any number of members of an archive.
inline constexpr unsigned kTreeInodeBits = 40;

constexpr bool is_tree_inode(Inode inode) { return inode >> kTreeInodeBits != 0; }
constexpr std::size_t tree_ordinal(Inode inode) { return static_cast<std::size_t>((inode >> kTreeInodeBits) - 1); }
constexpr Inode tree_inode(std::size_t ordinal, TreeIndex index) {
  return (static_cast<Inode>(ordinal) + 1) << kTreeInodeBits | index;
}

class ArchiveTrees {
 public:
  explicit ArchiveTrees(std::uint64_t kept_bytes_max = limits::kMountTreesBytes) : kept_bytes_max_(kept_bytes_max) {}

  // The archive's ordinal. Before anybody asks for trees. `parent` is the inode of the directory that it stands in.
  std::size_t add(std::unique_ptr<Archive> archive, Inode parent);

  std::size_t size() const { return slots_.size(); }
  // REQUIRES: ordinal < size()
  Archive& archive(std::size_t ordinal) { return *slots_[ordinal]->archive; }
  Inode parent(std::size_t ordinal) const { return slots_[ordinal]->parent; }

  // Made where it is not there. A catalogue that is damaged stays so; any other error may pass. REQUIRES: ordinal <
  // size()
  Result<std::shared_ptr<const ArchiveTree>> tree(std::size_t ordinal);

 private:
  struct Slot {
    std::unique_ptr<Archive> archive;
    Inode parent = 0;
    std::mutex build_mutex;                   // held while the tree is made
    Status damage;                            // guarded by build_mutex
    std::shared_ptr<const ArchiveTree> tree;  // guarded by mutex_
    std::list<std::size_t>::iterator recent;  // guarded by mutex_; valid while there is a tree
  };

  std::shared_ptr<const ArchiveTree> take(Slot& slot);
  void keep(std::size_t ordinal, std::shared_ptr<const ArchiveTree> tree);

  const std::uint64_t kept_bytes_max_;
  std::vector<std::unique_ptr<Slot>> slots_;
  std::mutex mutex_;
  std::list<std::size_t> recent_;  // guarded by mutex_; ordinals of archives that have trees, newest first
  std::uint64_t tree_bytes_ = 0;   // guarded by mutex_
};

}  // namespace vzv::fuse
