// The directories and files of a mount, made once from the spec and never changed.
//
// An inode number is a position in the tree plus one, so that the root is 1, as FUSE has it. Thread-safe: immutable
// after build(), but for the volumes' own state.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "fuse/mount_spec.h"
#include "fuse/volume_file.h"

namespace vzv::fuse {

using Inode = std::uint64_t;

inline constexpr Inode kRootInode = 1;

struct Directory {
  std::map<std::string, Inode, std::less<>> children;
  std::vector<std::map<std::string, Inode, std::less<>>::const_iterator>
      order;  // of children, for reading from a position
  std::uint32_t subdirectories = 0;
};

struct Node {
  Inode inode = 0;
  Inode parent = 0;  // the root's is itself
  std::int64_t modified_seconds = 0;
  std::variant<Directory, Bytes, std::unique_ptr<VolumeFile>> content;

  const Directory* directory() const { return std::get_if<Directory>(&content); }
  const Bytes* file() const { return std::get_if<Bytes>(&content); }
  VolumeFile* volume() const {
    const auto* found = std::get_if<std::unique_ptr<VolumeFile>>(&content);
    return found == nullptr ? nullptr : found->get();
  }
  std::uint64_t size_bytes() const;
};

class NodeTree {
 public:
  // E_ARGUMENT_INVALID where two nodes have one path, or a file's path leads to another node. `chunks` must outlive the
  // tree.
  static Result<std::unique_ptr<NodeTree>> build(std::vector<NodeSpec> nodes, ChunkReader& chunks);

  // nullptr for a number that is not an inode of this tree.
  Node* find(Inode inode);
  // nullptr where there is no such name, or `parent` is no directory.
  Node* find_child(Inode parent, std::string_view name);

  std::size_t size() const { return nodes_.size(); }
  // Of all files.
  std::uint64_t total_bytes() const { return total_bytes_; }

 private:
  Result<Inode> make_directories(std::string_view path);
  Inode append(Inode parent, std::string_view name, decltype(Node::content) content);
  void finish();

  std::vector<std::unique_ptr<Node>> nodes_;
  std::uint64_t total_bytes_ = 0;
};

}  // namespace vzv::fuse
