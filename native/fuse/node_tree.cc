#include "fuse/node_tree.h"

#include <algorithm>

namespace vzv::fuse {

Result<std::unique_ptr<NodeTree>> NodeTree::build(std::vector<NodeSpec> specs, ChunkReader& chunks) {
  auto tree = std::make_unique<NodeTree>();
  auto root = std::make_unique<Node>();
  root->inode = root->parent = kRootInode;
  tree->nodes_.push_back(std::move(root));

  for (NodeSpec& spec : specs) {
    const std::size_t slash = spec.path.rfind('/');
    const std::string_view path = spec.path;
    const std::string_view name = slash == std::string::npos ? path : path.substr(slash + 1);
    const Result<Inode> parent =
        slash == std::string::npos ? Result<Inode>(kRootInode) : tree->make_directories(path.substr(0, slash));
    if (!parent.ok()) return parent.status();
    if (tree->find_child(*parent, name) != nullptr) {
      return Status(Code::E_ARGUMENT_INVALID, "the mount spec has two nodes at " + spec.path);
    }
    tree->total_bytes_ += tree->add_content(spec, *parent, name, chunks);
    tree->nodes_.back()->modified_seconds = spec.modified_seconds;
  }
  tree->finish();
  return tree;
}

// Appends the spec's node; answers how large it is.
std::uint64_t NodeTree::add_content(NodeSpec& spec, Inode parent, std::string_view name, ChunkReader& chunks) {
  if (const auto* volume = std::get_if<VolumeSpec>(&spec.content)) {
    append(parent, name, std::make_unique<VolumeFile>(spec.path, volume->geometry, volume->root, chunks));
    return volume->geometry.size_bytes;
  }
  if (const auto* tar = std::get_if<ArchiveTarSpec>(&spec.content)) {
    append(parent, name, std::make_unique<ArchiveTar>(std::make_unique<Archive>(spec.path, tar->archive, chunks)));
    return tar->archive.data.size_bytes;
  }
  if (const auto* archive = std::get_if<ArchiveTreeSpec>(&spec.content)) {
    const std::size_t ordinal =
        trees_.add(std::make_unique<Archive>(spec.path, archive->archive, chunks), nodes_[parent - 1]->inode);
    append(parent, name, ArchiveRoot{ordinal});
    nodes_.back()->inode = tree_inode(ordinal, kTreeRoot);
    ++std::get<Directory>(nodes_[parent - 1]->content).subdirectories;
    return archive->archive.data.size_bytes;
  }
  Bytes& bytes = std::get<Bytes>(spec.content);
  const std::uint64_t size_bytes = bytes.size();
  append(parent, name, std::move(bytes));
  return size_bytes;
}

Result<Inode> NodeTree::make_directories(std::string_view path) {
  Inode at = kRootInode;
  std::size_t begin = 0;
  while (begin <= path.size()) {
    const std::size_t end = std::min(path.find('/', begin), path.size());
    const std::string_view name = path.substr(begin, end - begin);
    const Node* child = find_child(at, name);
    if (child == nullptr) {
      at = append(at, name, Directory());
    } else if (child->directory() != nullptr) {
      at = child->inode;  // of a directory, the number too
    } else {
      return Status(Code::E_ARGUMENT_INVALID,
                    "the mount spec has a node below the file " + std::string(path.substr(0, end)));
    }
    begin = end + 1;
  }
  return at;
}

Inode NodeTree::append(Inode parent, std::string_view name, decltype(Node::content) content) {
  auto node = std::make_unique<Node>();
  node->inode = nodes_.size() + 1;
  node->parent = parent;
  node->content = std::move(content);
  auto& directory = std::get<Directory>(nodes_[parent - 1]->content);
  directory.children.emplace(name, node->inode);
  if (node->directory() != nullptr) ++directory.subdirectories;
  nodes_.push_back(std::move(node));
  return nodes_.back()->inode;
}

// A directory is as old as the newest of what is below it: children come after their parents, so one pass backwards
// does it.
void NodeTree::finish() {
  for (std::size_t i = nodes_.size(); i-- > 0;) {
    Node& node = *nodes_[i];
    if (auto* directory = std::get_if<Directory>(&node.content)) {
      directory->order.reserve(directory->children.size());
      for (auto child = directory->children.cbegin(); child != directory->children.cend(); ++child) {
        directory->order.push_back(child);
      }
    }
    Node& parent = *nodes_[node.parent - 1];
    parent.modified_seconds = std::max(parent.modified_seconds, node.modified_seconds);
  }
}

Node* NodeTree::find(Inode inode) { return inode >= 1 && inode <= nodes_.size() ? nodes_[inode - 1].get() : nullptr; }

Node* NodeTree::find_child(Inode parent, std::string_view name) {
  const Node* node = find(parent);
  const Directory* directory = node == nullptr ? nullptr : node->directory();
  if (directory == nullptr) return nullptr;
  const auto found = directory->children.find(name);
  return found == directory->children.end() ? nullptr : find(found->second);
}

}  // namespace vzv::fuse
