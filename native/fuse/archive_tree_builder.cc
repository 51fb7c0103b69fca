#include "fuse/archive_tree_builder.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "core/base/limits.h"

namespace vzv::fuse {
namespace {

constexpr std::size_t kFirstSlots = 256;
constexpr const char* kOneTooMany = "is one too many";
constexpr const char* kNotFirst = "has the path of an earlier member, or comes behind what lies in it";

Status damaged(std::string_view path, const std::string& problem) {
  return {Code::E_CATALOGUE_DAMAGED, "member '" + printable(path) + "' of the catalogue " + problem};
}

// The kernel's old and FUSE's only encoding: twelve bits of major number, twenty of minor (linux/kdev_t.h,
// new_encode_dev).
std::uint32_t encode_device(std::uint32_t major, std::uint32_t minor) {
  return (minor & 0xff) | ((major & 0xfff) << 8) | ((minor & 0xfff00) << 12);
}

void describe(TreeMember& member, const CatalogueEntry& entry) {
  const Member& from = entry.member;
  member.record_offset = entry.record_offset;
  member.mtime_seconds = from.mtime_seconds;
  member.mtime_nanoseconds = from.mtime_nanoseconds;
  member.uid = from.uid;
  member.gid = from.gid;
  member.mode = static_cast<std::uint16_t>(from.mode);
  member.type = from.type;
  member.has_xattrs = !from.xattrs.empty() || !from.acl_access.empty() || !from.acl_default.empty();
  if (from.type == MemberType::kDirectory) return;
  member.place = entry.data_offset;
  member.size_bytes = from.type == MemberType::kSymlink ? from.link_target.size() : from.size_bytes;
  member.stored_bytes = from.stored_bytes;
  member.sparse = from.sparse;
  member.device = encode_device(from.device_major, from.device_minor);
}

}  // namespace

ArchiveTreeBuilder::ArchiveTreeBuilder() {
  tree_->slots_.resize(kFirstSlots);
  tree_->members_.emplace_back();
}

Status ArchiveTreeBuilder::add(const CatalogueEntry& entry) {
  const std::string_view path = entry.member.path;
  if (path.empty()) {
    TreeMember& root = tree_->members_[kTreeRoot];
    if (root.record_offset != TreeMember::kNoRecord || root.size_bytes > 0) return damaged(path, kNotFirst);
    describe(root, entry);
    return {};
  }
  const std::size_t slash = path.rfind('/');
  const bool below_root = slash == std::string_view::npos;
  const std::string_view name = below_root ? path : path.substr(slash + 1);
  const Result<TreeIndex> parent = directory_of(below_root ? std::string_view() : path.substr(0, slash));
  if (!parent.ok()) return damaged(path, parent.status().message());
  if (tree_->find_child(*parent, name)) return damaged(path, kNotFirst);
  if (is_full()) return damaged(path, kOneTooMany);
  const Result<TreeIndex> member = member_of(*parent, entry);
  if (!member.ok()) return damaged(path, member.status().message());
  add_entry(*parent, name, *member);
  return {};
}

// Of paths, of which the root's is one.
bool ArchiveTreeBuilder::is_full() const { return tree_->entries_.size() + 1 >= limits::kArchivePathsMax; }

// The directory of this path. Members come in the order of the tree, so most of the way was gone for the one before.
Result<TreeIndex> ArchiveTreeBuilder::directory_of(std::string_view path) {
  const auto differs = std::mismatch(path.begin(), path.end(), path_.begin(), path_.end()).first;
  const auto common = static_cast<std::size_t>(differs - path.begin());
  const auto on_the_way = [&](const Step& step) {
    return step.path_bytes <= common && (step.path_bytes == path.size() || path[step.path_bytes] == '/');
  };
  while (!steps_.empty() && !on_the_way(steps_.back())) steps_.pop_back();
  path_ = path;

  TreeIndex at = steps_.empty() ? kTreeRoot : steps_.back().directory;
  std::size_t begin = steps_.empty() ? 0 : steps_.back().path_bytes + 1;
  while (begin < path.size()) {
    const std::size_t end = std::min(path.find('/', begin), path.size());
    const Result<TreeIndex> next = enter(at, path.substr(begin, end - begin));
    if (!next.ok()) return next;
    at = *next;
    steps_.push_back({end, at});
    begin = end + 1;
  }
  return at;
}

// The directory of this name, made where there is none.
Result<TreeIndex> ArchiveTreeBuilder::enter(TreeIndex parent, std::string_view name) {
  const std::optional<TreeIndex> found = tree_->find_child(parent, name);
  if (!found && is_full()) return Status(Code::E_CATALOGUE_DAMAGED, kOneTooMany);
  if (!found) {
    const auto made = static_cast<TreeIndex>(tree_->members_.size());
    tree_->members_.emplace_back().parent = parent;
    add_entry(parent, name, made);
    return made;
  }
  if (!tree_->members_[*found].directory()) {
    return Status(Code::E_CATALOGUE_DAMAGED, "lies below '" + printable(name) + "', which is no directory");
  }
  return *found;
}

std::optional<TreeIndex> ArchiveTreeBuilder::find(std::string_view path) const {
  std::optional<TreeIndex> at = kTreeRoot;
  while (at && !path.empty()) {
    if (!tree_->members_[*at].directory()) return std::nullopt;
    const std::string_view name = path.substr(0, path.find('/'));
    at = tree_->find_child(*at, name);
    path.remove_prefix(std::min(path.size(), name.size() + 1));
  }
  return at;
}

Result<TreeIndex> ArchiveTreeBuilder::member_of(TreeIndex parent, const CatalogueEntry& entry) {
  if (entry.member.type == MemberType::kHardLink) {
    const std::string& path = entry.member.link_target;
    const std::optional<TreeIndex> target = find(path);
    if (target && !tree_->members_[*target].directory()) return *target;
    return Status(Code::E_CATALOGUE_DAMAGED,
                  "is a hard link to '" + printable(path) + "', which is no earlier member or is a directory");
  }
  const auto index = static_cast<TreeIndex>(tree_->members_.size());
  TreeMember& member = tree_->members_.emplace_back();
  member.parent = parent;
  describe(member, entry);
  return index;
}

void ArchiveTreeBuilder::add_entry(TreeIndex parent, std::string_view name, TreeIndex member) {
  if (tree_->entries_.size() >= tree_->slots_.size() / 4 * 3) grow_slots();
  tree_->entries_.push_back({keep_name(name), parent, member});
  tree_->slots_[tree_->slot_of(parent, name)] = static_cast<std::uint32_t>(tree_->entries_.size());
  ++tree_->members_[member].links;
  ++tree_->members_[parent].size_bytes;
}

std::uint64_t ArchiveTreeBuilder::keep_name(std::string_view name) {
  auto& blocks = tree_->name_blocks_;
  if (names_used_ + name.size() + 2 > kNameBlockBytes) {
    blocks.push_back(std::make_unique_for_overwrite<char[]>(kNameBlockBytes));
    names_used_ = 0;
  }
  char* at = blocks.back().get() + names_used_;
  const std::uint64_t number = (blocks.size() - 1) << kNameBlockBits | names_used_;
  at[0] = static_cast<char>(name.size());
  std::memcpy(at + 1, name.data(), name.size());
  at[1 + name.size()] = '\0';
  names_used_ += name.size() + 2;
  return number;
}

void ArchiveTreeBuilder::grow_slots() {
  tree_->slots_ = std::vector<std::uint32_t>(tree_->slots_.size() * 2);
  for (std::size_t i = 0; i < tree_->entries_.size(); ++i) {
    const ArchiveTree::Entry& entry = tree_->entries_[i];
    tree_->slots_[tree_->slot_of(entry.parent, tree_->name_at(entry.name))] = static_cast<std::uint32_t>(i + 1);
  }
}

// Gives each directory its place in the list of all children, and the links of "." and of its subdirectories' "..".
std::shared_ptr<const ArchiveTree> ArchiveTreeBuilder::finish() {
  std::uint64_t place = 0;
  for (TreeMember& member : tree_->members_) {
    if (!member.directory()) continue;
    member.place = place;
    member.links = 2;
    place += member.size_bytes;
  }
  std::vector<std::uint32_t>& children = tree_->children_;
  children.resize(tree_->entries_.size());
  std::vector<std::uint32_t> filled(tree_->members_.size());
  for (std::size_t i = 0; i < tree_->entries_.size(); ++i) {
    const ArchiveTree::Entry& entry = tree_->entries_[i];
    TreeMember& parent = tree_->members_[entry.parent];
    children[parent.place + filled[entry.parent]++] = static_cast<std::uint32_t>(i);
    if (tree_->members_[entry.member].directory()) ++parent.links;
  }
  return std::exchange(tree_, nullptr);
}

}  // namespace vzv::fuse
