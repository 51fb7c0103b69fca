#include "fuse/node_tree.h"

#include <doctest/doctest.h>

#include "test/fuse/repository_fixture.h"

using vzv::Code;
using vzv::fuse::kRootInode;
using vzv::fuse::Node;
using vzv::fuse::NodeSpec;
using vzv::fuse::NodeTree;

namespace {

NodeSpec file(std::string path, std::int64_t modified_seconds = 0) {
  return {std::move(path), vzv::Bytes{'x'}, modified_seconds};
}

}  // namespace

TEST_CASE("slashes make directories, as old as the newest file below them") {
  vzv::RepositoryFixture fixture;
  const auto reader = fixture.reader();
  const auto built = NodeTree::build({file("qemu/100/a", 5), file("qemu/101/b", 9), file("c", 2)}, *reader);
  REQUIRE(built.ok());
  NodeTree& tree = **built;
  CHECK(tree.size() == 7);
  CHECK(tree.total_bytes() == 3);
  const Node* qemu = tree.find_child(kRootInode, "qemu");
  REQUIRE(qemu != nullptr);
  CHECK(qemu->directory()->subdirectories == 2);
  CHECK(qemu->modified_seconds == 9);
  CHECK(tree.find_child(qemu->inode, "100")->modified_seconds == 5);
  CHECK(tree.find(kRootInode)->modified_seconds == 9);
  CHECK(tree.find_child(tree.find_child(qemu->inode, "101")->inode, "b")->file()->size() == 1);
  CHECK(tree.find_child(kRootInode, "100") == nullptr);
  CHECK(tree.find_child(tree.find_child(kRootInode, "c")->inode, "x") == nullptr);
  CHECK(tree.find(0) == nullptr);
  CHECK(tree.find(8) == nullptr);
}

TEST_CASE("refuses two nodes at one path and a node below a file") {
  vzv::RepositoryFixture fixture;
  const auto reader = fixture.reader();
  CHECK(NodeTree::build({file("a"), file("a")}, *reader).status().code() == Code::E_ARGUMENT_INVALID);
  CHECK(NodeTree::build({file("a/b"), file("a")}, *reader).status().code() == Code::E_ARGUMENT_INVALID);
  CHECK(NodeTree::build({file("a"), file("a/b")}, *reader).status().code() == Code::E_ARGUMENT_INVALID);
  CHECK(NodeTree::build({file("a/b"), file("a/b/c/d")}, *reader).status().code() == Code::E_ARGUMENT_INVALID);
}

TEST_CASE("an empty spec is an empty directory") {
  vzv::RepositoryFixture fixture;
  const auto reader = fixture.reader();
  const auto built = NodeTree::build({}, *reader);
  REQUIRE(built.ok());
  CHECK((*built)->find(kRootInode)->directory()->order.empty());
}
