#include "fuse/tree_requests.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>

#include "core/base/limits.h"
#include "fuse/member_xattrs.h"
#include "fuse/open_member.h"

namespace vzv::fuse {
namespace {

constexpr double kValidSeconds = 86'400;  // nothing ever changes below a mount
constexpr std::uint64_t kBlockBytes = 512;
constexpr std::uint32_t kStatBlockBytes = 4'096;

struct stat attributes_of(const TreeMember& member, Inode inode) {
  struct stat attributes {};
  attributes.st_ino = inode;
  attributes.st_mode = file_type_bits(member.type) | member.mode;
  attributes.st_nlink = member.links;
  attributes.st_uid = member.uid;
  attributes.st_gid = member.gid;
  attributes.st_rdev = member.device;
  attributes.st_blksize = kStatBlockBytes;
  attributes.st_mtim.tv_sec = member.mtime_seconds;
  attributes.st_mtim.tv_nsec = member.mtime_nanoseconds;
  attributes.st_atim = attributes.st_ctim = attributes.st_mtim;
  if (!member.directory()) attributes.st_size = static_cast<off_t>(member.size_bytes);
  attributes.st_blocks = static_cast<blkcnt_t>((member.stored_bytes + kBlockBytes - 1) / kBlockBytes);
  return attributes;
}

// An answer whose length is asked for with a size of 0.
void reply_sized(fuse_req_t request, std::string_view value, std::size_t size) {
  if (size == 0) {
    fuse_reply_xattr(request, value.size());
  } else if (value.size() > size) {
    fuse_reply_err(request, ERANGE);
  } else {
    fuse_reply_buf(request, value.data(), value.size());
  }
}

}  // namespace

TreeRequests::TreeRequests(ArchiveTrees& trees, ReadAheadPool& pool, OpenFiles& open_files, Faults& faults)
    : trees_(trees), pool_(pool), open_files_(open_files), faults_(faults) {
  for (std::size_t i = 0; i < trees.size(); ++i) {
    streams_.push_back(std::make_unique<ArchiveStream>(trees.archive(i), pool));
  }
}

bool TreeRequests::find(fuse_req_t request, Inode inode, Found& found) {
  found.ordinal = tree_ordinal(inode);
  found.index = static_cast<TreeIndex>(inode);
  if (found.ordinal >= trees_.size()) {
    fuse_reply_err(request, ENOENT);
    return false;
  }
  Result<std::shared_ptr<const ArchiveTree>> tree = trees_.tree(found.ordinal);
  if (!tree.ok()) {
    faults_.reply(request, "making the tree", trees_.archive(found.ordinal).path(), tree.status());
    return false;
  }
  found.tree = std::move(tree).value();
  found.member = found.tree->find(found.index);
  if (found.member == nullptr) fuse_reply_err(request, ENOENT);
  return found.member != nullptr;
}

std::string TreeRequests::path_of(const Found& found, const Member& member) {
  const std::string& root = trees_.archive(found.ordinal).path();
  return member.path.empty() ? root : root + "/" + printable(member.path);
}

std::string TreeRequests::path_of(Inode inode) {
  Found found;
  found.ordinal = tree_ordinal(inode);
  Archive& archive = trees_.archive(found.ordinal);
  const Result<std::shared_ptr<const ArchiveTree>> tree = trees_.tree(found.ordinal);
  if (!tree.ok()) return archive.path();
  const TreeMember* member = (*tree)->find(static_cast<TreeIndex>(inode));
  CatalogueReader reader(archive.catalogue());
  CatalogueEntry entry;
  if (!reader.seek(member->record_offset, member->place).ok() || !reader.next(entry).ok()) return archive.path();
  return path_of(found, entry.member);
}

bool TreeRequests::read_record(fuse_req_t request, const Found& found, const char* doing, CatalogueEntry& entry) {
  Archive& archive = trees_.archive(found.ordinal);
  CatalogueReader reader(archive.catalogue());
  Status status = reader.seek(found.member->record_offset, found.member->place);
  if (status.ok()) status = reader.next(entry).status();
  if (!status.ok()) faults_.reply(request, doing, archive.path(), status);
  return status.ok();
}

fuse_entry_param TreeRequests::entry_of(const Found& found) const {
  fuse_entry_param entry{};
  entry.ino = tree_inode(found.ordinal, found.index);
  entry.attr_timeout = entry.entry_timeout = kValidSeconds;
  entry.attr = attributes_of(*found.member, entry.ino);
  return entry;
}

bool TreeRequests::describe_root(fuse_req_t request, std::size_t ordinal, fuse_entry_param& entry) {
  Found root;
  if (!find(request, tree_inode(ordinal, kTreeRoot), root)) return false;
  entry = entry_of(root);
  return true;
}

void TreeRequests::lookup(fuse_req_t request, Inode parent, const char* name) {
  Found found;
  if (!find(request, parent, found)) return;
  const auto child = found.member->directory() ? found.tree->find_child(found.index, name) : std::nullopt;
  if (!child) {
    fuse_entry_param none{};  // inode 0 says that there is no such name, and for how long
    none.entry_timeout = kValidSeconds;
    fuse_reply_entry(request, &none);
    return;
  }
  found.index = *child;
  found.member = found.tree->find(*child);
  const fuse_entry_param entry = entry_of(found);
  fuse_reply_entry(request, &entry);
}

void TreeRequests::getattr(fuse_req_t request, Inode inode) {
  Found found;
  if (!find(request, inode, found)) return;
  const struct stat attributes = attributes_of(*found.member, inode);
  fuse_reply_attr(request, &attributes, kValidSeconds);
}

void TreeRequests::readlink(fuse_req_t request, Inode inode) {
  Found found;
  if (!find(request, inode, found)) return;
  CatalogueEntry entry;
  if (found.member->type != MemberType::kSymlink) {
    fuse_reply_err(request, EINVAL);
  } else if (read_record(request, found, "reading a symbolic link", entry)) {
    fuse_reply_readlink(request, entry.member.link_target.c_str());
  }
}

void TreeRequests::open(fuse_req_t request, Inode inode, fuse_file_info* info) {
  Found found;
  if (!find(request, inode, found)) return;
  if (found.member->type != MemberType::kFile) {
    fuse_reply_err(request, found.member->directory() ? EISDIR : ENXIO);
    return;
  }
  OpenMember::File file;
  file.size_bytes = found.member->size_bytes;
  file.data_offset = found.member->place;
  file.sparse = found.member->sparse;
  file.path = [this, inode] { return path_of(inode); };
  if (file.sparse) {
    CatalogueEntry entry;
    if (!read_record(request, found, "opening a sparse file", entry)) return;
    file.extents = std::move(entry.member.extents);
  }
  Archive& archive = trees_.archive(found.ordinal);
  const bool large = found.member->stored_bytes > limits::kMountReadAheadBytes;
  open_files_.reply(request, info,
                    large ? std::make_unique<OpenMember>(std::move(file), archive, pool_)
                          : std::make_unique<OpenMember>(std::move(file), *streams_[found.ordinal]));
}

void TreeRequests::opendir(fuse_req_t request, Inode inode, fuse_file_info* info) {
  Found found;
  if (!find(request, inode, found)) return;
  if (!found.member->directory()) {
    fuse_reply_err(request, ENOTDIR);
    return;
  }
  info->keep_cache = 1;
  info->cache_readdir = 1;
  fuse_reply_open(request, info);
}

// Positions: 0 is ".", 1 is "..", then the children in the order of the archive.
void TreeRequests::readdir(fuse_req_t request, Inode inode, std::size_t size, off_t offset, bool plus) {
  Found found;
  if (!find(request, inode, found)) return;
  if (!found.member->directory()) {
    fuse_reply_err(request, ENOTDIR);
    return;
  }
  std::vector<char> buffer(std::min<std::size_t>(size, limits::kMountReadMaxBytes));
  std::size_t used = 0;
  const std::uint64_t entries = found.member->size_bytes + 2;
  for (auto position = static_cast<std::uint64_t>(std::max<off_t>(offset, 0)); position < entries; ++position) {
    const std::span<char> room = std::span(buffer).subspan(used);
    const std::size_t needed = add_child(request, found, position, plus, room);
    if (needed > room.size()) break;
    used += needed;
  }
  fuse_reply_buf(request, buffer.data(), used);
}

std::size_t TreeRequests::add_child(fuse_req_t request, const Found& directory, std::uint64_t position, bool plus,
                                    std::span<char> buffer) {
  const auto next = static_cast<off_t>(position + 1);
  fuse_entry_param entry{};  // inode 0: the name and the type alone
  const char* name = position == 0 ? "." : "..";
  if (position < 2) {
    const bool at_root = directory.index == kTreeRoot;
    const Inode parent =
        at_root ? trees_.parent(directory.ordinal) : tree_inode(directory.ordinal, directory.member->parent);
    entry.attr.st_ino = position == 0 ? tree_inode(directory.ordinal, directory.index) : parent;
    entry.attr.st_mode = S_IFDIR;
  } else {
    const ArchiveTree::Child child = directory.tree->child(*directory.member, position - 2);
    Found found = directory;
    found.index = child.index;
    found.member = directory.tree->find(child.index);
    entry = entry_of(found);
    name = child.name;
  }
  return plus ? fuse_add_direntry_plus(request, buffer.data(), buffer.size(), name, &entry, next)
              : fuse_add_direntry(request, buffer.data(), buffer.size(), name, &entry.attr, next);
}

void TreeRequests::getxattr(fuse_req_t request, Inode inode, const char* name, std::size_t size) {
  Found found;
  if (!find(request, inode, found)) return;
  if (!found.member->has_xattrs) {
    fuse_reply_err(request, ENODATA);
    return;
  }
  CatalogueEntry entry;
  if (!read_record(request, found, "reading an extended attribute", entry)) return;
  const Result<std::optional<std::string>> value = member_xattr(entry.member, name);
  if (!value.ok()) {
    faults_.reply(request, "reading the attribute " + printable(name), path_of(found, entry.member), value.status());
  } else if (!value.value()) {
    fuse_reply_err(request, ENODATA);
  } else {
    reply_sized(request, **value, size);
  }
}

void TreeRequests::listxattr(fuse_req_t request, Inode inode, std::size_t size) {
  Found found;
  if (!find(request, inode, found)) return;
  CatalogueEntry entry;
  if (found.member->has_xattrs && !read_record(request, found, "listing extended attributes", entry)) return;
  reply_sized(request, member_xattr_names(entry.member), size);
}

}  // namespace vzv::fuse
