// The directories and files of a mount, made once from the spec and never changed.
//
// A node's number is its position plus one, so that the root is 1, as FUSE has it. So are inodes, but for the directory
// of an archive, which has the inode of its tree's root (ArchiveTrees). Thread-safe: immutable after build(), but for
// the contents' own state.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "fuse/archive_tar.h"
#include "fuse/archive_trees.h"
#include "fuse/mount_spec.h"
#include "fuse/volume_file.h"

namespace vzv::fuse {

inline constexpr Inode kRootInode = 1;

struct Directory {
  std::map<std::string, Inode, std::less<>> children;  // their numbers
  std::vector<std::map<std::string, Inode, std::less<>>::const_iterator>
      order;  // of children, for reading from a position
  std::uint32_t subdirectories = 0;
};

// A directory whose contents are those of an archive.
struct ArchiveRoot {
  std::size_t ordinal;  // in the mount's ArchiveTrees
};

struct Node {
  Inode inode = 0;
  Inode parent = 0;  // number; the root's is itself
  std::int64_t modified_seconds = 0;
  std::variant<Directory, Bytes, std::unique_ptr<VolumeFile>, std::unique_ptr<ArchiveTar>, ArchiveRoot> content;

  const Directory* directory() const { return std::get_if<Directory>(&content); }
  const Bytes* file() const { return std::get_if<Bytes>(&content); }
  VolumeFile* volume() const {
    const auto* found = std::get_if<std::unique_ptr<VolumeFile>>(&content);
    return found == nullptr ? nullptr : found->get();
  }
  ArchiveTar* tar() const {
    const auto* found = std::get_if<std::unique_ptr<ArchiveTar>>(&content);
    return found == nullptr ? nullptr : found->get();
  }
  const ArchiveRoot* archive_root() const { return std::get_if<ArchiveRoot>(&content); }
};

class NodeTree {
 public:
  // E_ARGUMENT_INVALID where two nodes have one path, or a file's path leads to another node. `chunks` must outlive the
  // tree.
  static Result<std::unique_ptr<NodeTree>> build(std::vector<NodeSpec> nodes, ChunkReader& chunks);

  // nullptr for a number that is not one of this tree's.
  Node* find(Inode inode);
  // nullptr where there is no such name, or `parent` is no directory.
  Node* find_child(Inode parent, std::string_view name);

  ArchiveTrees& trees() { return trees_; }

  std::size_t size() const { return nodes_.size(); }
  // Of all volumes and small files, and of the data of all archives.
  std::uint64_t total_bytes() const { return total_bytes_; }

 private:
  Result<Inode> make_directories(std::string_view path);
  Inode append(Inode parent, std::string_view name, decltype(Node::content) content);
  std::uint64_t add_content(NodeSpec& spec, Inode parent, std::string_view name, ChunkReader& chunks);
  void finish();

  ArchiveTrees trees_;
  std::vector<std::unique_ptr<Node>> nodes_;
  std::uint64_t total_bytes_ = 0;
};

}  // namespace vzv::fuse
