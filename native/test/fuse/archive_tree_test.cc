// The tree of an archive: what is whose child, what counts, what cannot be.
#include <doctest/doctest.h>

#include <chrono>

#include "core/archive/tar_layout.h"
#include "fuse/archive_tree_builder.h"
#include "fuse/archive_trees.h"
#include "fuse/member_xattrs.h"
#include "fuse/open_member.h"
#include "test/fuse/archive_fixture.h"

namespace {

using namespace vzv;
using namespace vzv::fuse;
using namespace vzv::test;

class Tree {
 public:
  explicit Tree(const std::vector<Member>& members)
      : spec_(store_archive(store_, members)),
        chunks_(store_.reader(64 << 20)),
        archive_("root", spec_, *chunks_),
        tree_(ArchiveTree::build(archive_.catalogue(), archive_.data().size_bytes())) {}

  Status status() const { return tree_.status(); }
  Archive& archive() { return archive_; }
  const ArchiveTree& operator*() const { return *tree_.value(); }
  const ArchiveTree* operator->() const { return tree_.value().get(); }
  // nothing where there is no such path
  std::optional<TreeIndex> find(std::string_view path) const {
    TreeIndex at = kTreeRoot;
    while (!path.empty()) {
      const std::string_view name = path.substr(0, path.find('/'));
      path.remove_prefix(std::min(path.size(), name.size() + 1));
      const auto child = tree_.value()->find_child(at, name);
      if (!child) return std::nullopt;
      at = *child;
    }
    return at;
  }
  const TreeMember& at(std::string_view path) const {
    const auto found = find(path);
    REQUIRE_MESSAGE(found.has_value(), std::string(path));
    return *tree_.value()->find(*found);
  }
  std::vector<std::string> names(std::string_view path) const {
    std::vector<std::string> names;
    const TreeMember& directory = at(path);
    for (std::uint64_t i = 0; i < directory.size_bytes; ++i)
      names.emplace_back(tree_.value()->child(directory, i).name);
    return names;
  }

 private:
  Store store_;
  ArchiveSpec spec_;
  std::unique_ptr<ChunkReader> chunks_;
  Archive archive_;
  Result<std::shared_ptr<const ArchiveTree>> tree_;
};

Member directory(std::string path) { return sample_member(MemberType::kDirectory, std::move(path)); }
Member hard_link(std::string path, std::string target) {
  Member member = sample_member(MemberType::kHardLink, std::move(path));
  member.link_target = std::move(target);
  return member;
}

}  // namespace

TEST_CASE("a tree has members of every kind where they belong") {
  const Tree tree(sample_members());
  must(tree.status());
  CHECK(tree.names("") == std::vector<std::string>{"etc", "dev", "run", "var"});
  CHECK(tree.names("etc") == std::vector<std::string>{"hostname", "hosts", "\n \xff\xfe", "conf.d", "mtab", "twin"});
  CHECK(tree.at("").links == 6);
  CHECK(tree.at("etc").links == 3);
  CHECK(tree.at("etc").parent == kTreeRoot);
  CHECK(tree.at("etc/conf.d").parent == tree.find("etc"));
  CHECK(tree.at("etc/conf.d").mode == 07777);
  CHECK(tree.find("etc/twin") == tree.find("etc/hostname"));
  CHECK(tree.at("etc/twin").links == 2);
  CHECK(tree.at("etc/hosts").mtime_seconds == -1);
  CHECK(tree.at("etc/mtab").size_bytes == 19);
  CHECK(tree.at("dev/null").device == 0x103);
  CHECK(tree.at("dev").mode == 0755);  // nobody told of it
  CHECK(tree.at("dev").uid == 0);
  CHECK(tree.at("var/sparse").size_bytes == 1ULL << 40);
  CHECK(tree.at("var/sparse").stored_bytes == 4102);
  CHECK(tree.at("etc/\n \xff\xfe").has_xattrs);
  CHECK_FALSE(tree.at("etc/hostname").has_xattrs);
  CHECK_FALSE(tree.find("etc/none"));
  CHECK(tree->find(static_cast<TreeIndex>(tree->size())) == nullptr);
}

TEST_CASE("what no tree can be is damage, to a tree and a tar file alike") {
  const auto code = [](const std::vector<Member>& members) {
    Tree tree(members);
    const std::uint64_t data_bytes = tree.archive().data().size_bytes();
    CHECK(TarLayout::build(tree.archive().catalogue(), data_bytes).status().code() == tree.status().code());
    return tree.status().code();
  };
  CHECK(code({sample_file("a", 1), hard_link("b", "a"), directory("c")}) == Code::kOk);
  CHECK(code({sample_file("f", 1), sample_file("f/below", 1)}) == Code::E_CATALOGUE_DAMAGED);
  CHECK(code({sample_file("f", 1), directory("f/d/e")}) == Code::E_CATALOGUE_DAMAGED);
  CHECK(code({sample_file("a", 5), sample_file("a", 7)}) == Code::E_CATALOGUE_DAMAGED);
  CHECK(code({directory("d"), sample_file("d/f", 1), directory("d")}) == Code::E_CATALOGUE_DAMAGED);
  CHECK(code({directory("d"), sample_file("d", 1)}) == Code::E_CATALOGUE_DAMAGED);
  CHECK(code({sample_file("d", 1), directory("d")}) == Code::E_CATALOGUE_DAMAGED);
  CHECK(code({directory(""), directory("")}) == Code::E_CATALOGUE_DAMAGED);
  CHECK(code({sample_file("d/f", 1), directory("d")}) == Code::E_CATALOGUE_DAMAGED);
  CHECK(code({sample_file("f", 1), directory("")}) == Code::E_CATALOGUE_DAMAGED);
  // Its way in is known already.
  CHECK(code({directory("d"), directory("d/e"), sample_file("d/e", 1), sample_file("d/e/f", 1)}) ==
        Code::E_CATALOGUE_DAMAGED);
  CHECK(code({hard_link("x", "gone")}) == Code::E_CATALOGUE_DAMAGED);
  CHECK(code({hard_link("x", "x")}) == Code::E_CATALOGUE_DAMAGED);
  CHECK(code({directory("d"), hard_link("x", "d")}) == Code::E_CATALOGUE_DAMAGED);
  CHECK(code({sample_file("f", 1), hard_link("x", "f/below")}) == Code::E_CATALOGUE_DAMAGED);
}

TEST_CASE("a tree is made of exactly those members that an archive may have in this order") {
  std::mt19937_64 random(3);
  std::size_t kept = 0;
  for (int round = 0; round < 300; ++round) {
    fuse::ArchiveTreeBuilder builder;
    MemberIndex index;
    CatalogueEntry entry;
    entry.record_offset = 0;
    for (;; ++kept) {
      entry.member = sample_member(MemberType::kDirectory, random() % 20 == 0 ? "" : sample_path(random));
      if (random() % 2 == 0 && !entry.member.path.empty()) entry.member.type = MemberType::kFifo;
      if (random() % 20 == 0 && !entry.member.path.empty())
        entry.member = hard_link(entry.member.path, sample_path(random));
      const std::string problem = index.add(entry.member);
      CAPTURE(problem);
      CAPTURE(entry.member.path);
      REQUIRE(builder.add(entry).ok() == problem.empty());
      if (!problem.empty()) break;
    }
  }
  CHECK(kept > 1'000);
}

TEST_CASE("a catalogue that does not make up the data has no tree") {
  Tree tree({sample_file("a", 1000), sample_file("b", 500)});
  for (const std::uint64_t data_bytes : {0, 999, 1000, 1499, 1501}) {
    CHECK(ArchiveTree::build(tree.archive().catalogue(), data_bytes).status().code() == Code::E_CATALOGUE_DAMAGED);
  }
}

TEST_CASE("a million entries in one directory take little memory and are found at once") {
  std::vector<Member> members = {directory("many")};
  for (int i = 0; i < 1'000'000; ++i) members.push_back(sample_file("many/entry-" + std::to_string(i), 0));
  const Tree tree(members);
  must(tree.status());
  CHECK(tree->memory_bytes() / members.size() < 150);
  CHECK(tree.at("many").size_bytes == 1'000'000);
  CHECK(tree->child(tree.at("many"), 777'777).name == std::string("entry-777777"));
  for (int i = 0; i < 1'000'000; i += 997) CHECK(tree.find("many/entry-" + std::to_string(i)).has_value());
}

TEST_CASE("a file of an archive has its bytes and its holes") {
  Member sparse = sample_sparse("s", 100'000, {{0, 10}, {5000, 30'000}, {70'000, 1}});
  Tree tree({sample_file("before", 12'345), sparse});
  ReadAheadPool pool(0, 0);
  ArchiveStream stream(tree.archive(), pool);
  OpenMember file({.path = [] { return std::string("root/s"); },
                   .size_bytes = 100'000,
                   .data_offset = 12'345,
                   .sparse = true,
                   .extents = sparse.extents},
                  stream);
  Bytes expected(100'000);
  const Bytes data = sample_data(12'345 + 30'011);
  auto from = data.begin() + 12'345;
  for (const MemberExtent& extent : sparse.extents) {
    std::copy_n(from, extent.length, expected.begin() + static_cast<std::ptrdiff_t>(extent.offset));
    from += static_cast<std::ptrdiff_t>(extent.length);
  }
  std::mt19937_64 random(5);
  for (int i = 0; i < 500; ++i) {
    const std::uint64_t offset = random() % 100'000;
    Bytes buffer(random() % (100'001 - offset), 0xee);
    must(file.read(offset, buffer));
    REQUIRE(std::equal(buffer.begin(), buffer.end(), expected.begin() + static_cast<std::ptrdiff_t>(offset)));
  }
  const std::pair<std::uint64_t, std::uint64_t> data_at[] = {
      {0, 0}, {9, 9}, {10, 5000}, {4999, 5000}, {34'999, 34'999}, {35'000, 70'000}, {70'001, 100'000}};
  for (const auto& [offset, found] : data_at) CHECK(must(file.seek_data(offset)) == found);
  const std::pair<std::uint64_t, std::uint64_t> hole_at[] = {{0, 10},          {10, 10},         {5000, 35'000},
                                                             {69'999, 69'999}, {70'000, 70'001}, {99'999, 99'999}};
  for (const auto& [offset, found] : hole_at) CHECK(must(file.seek_hole(offset)) == found);
}

TEST_CASE("trees that nobody uses go, and come again with the same numbers") {
  Store store;
  const auto chunks = store.reader(64 << 20);
  const ArchiveSpec spec = store_archive(store, sample_members());
  const auto fresh = store.reader(64 << 20);
  ArchiveTrees trees(1);
  for (int i = 0; i < 2; ++i) trees.add(std::make_unique<Archive>("root", spec, *fresh), 1);
  const auto first = must(trees.tree(0));
  const TreeIndex etc = *first->find_child(kTreeRoot, "etc");
  CHECK(must(trees.tree(0)) == first);
  static_cast<void>(must(trees.tree(1)));
  const auto again = must(trees.tree(0));
  CHECK(again != first);
  CHECK(again->find_child(kTreeRoot, "etc") == etc);
  CHECK(tree_ordinal(tree_inode(1, etc)) == 1);
  CHECK(is_tree_inode(tree_inode(0, kTreeRoot)));
  CHECK_FALSE(is_tree_inode(1));
}

TEST_CASE("extended attributes are the stored ones, and ACLs that say more than the mode") {
  Member member = sample_file("f", 0);
  member.xattrs = {{"system.posix_acl_access", "x"}, {"user.a", std::string("\0v", 2)}};
  member.acl_access = "user::rw-,group::r--,other::---";
  CHECK(member_xattr_names(member) == std::string("user.a\0", 7));
  CHECK(must(member_xattr(member, "user.a")) == std::string("\0v", 2));
  CHECK(must(member_xattr(member, "system.posix_acl_access")) == std::nullopt);
  CHECK(must(member_xattr(member, "user.b")) == std::nullopt);

  member.acl_access = "user::rw-,user:1000:r--,group::r--,mask::r--,other::---";
  member.acl_default = "user::rwx,group::r-x,other::---";
  CHECK(member_xattr_names(member) == std::string("user.a\0system.posix_acl_access\0system.posix_acl_default\0", 56));
  const auto value = must(member_xattr(member, "system.posix_acl_access"));
  REQUIRE(value.has_value());
  CHECK(value->size() == 4 + 5 * 8);
  CHECK(value->substr(0, 20) == std::string("\2\0\0\0\1\0\6\0\xff\xff\xff\xff\2\0\4\0\xe8\3\0\0", 20));
  member.acl_access = "nonsense";
  CHECK(member_xattr(member, "system.posix_acl_access").status().code() == Code::E_CATALOGUE_DAMAGED);
}
