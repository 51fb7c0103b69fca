#include "fuse/file_system.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/base/limits.h"
#include "fuse/open_volume.h"

namespace vzv::fuse {
namespace {

// Nothing ever changes below a mount.
constexpr double kValidSeconds = 86'400;
constexpr std::uint64_t kBlockBytes = 512;        // of st_blocks
constexpr std::uint32_t kStatBlockBytes = 4'096;  // what statfs counts in
constexpr unsigned kBackgroundRequests = 64;      // read-ahead requests that the kernel may keep in flight

}  // namespace

const fuse_lowlevel_ops& FileSystem::operations() {
  static const fuse_lowlevel_ops kOperations = [] {
    fuse_lowlevel_ops operations{};
    operations.init = init;
    operations.lookup = lookup;
    operations.getattr = getattr;
    operations.readlink = readlink;
    operations.open = open;
    operations.release = release;
    operations.read = read;
    operations.lseek = lseek;
    operations.opendir = opendir;
    operations.readdir = readdir;
    operations.readdirplus = readdirplus;
    operations.getxattr = getxattr;
    operations.listxattr = listxattr;
    operations.statfs = statfs;
    return operations;
  }();
  return kOperations;
}

RequestCounters FileSystem::counters() const {
  RequestCounters counters;
  counters.reads = open_files_.reads();
  counters.read_bytes = open_files_.read_bytes();
  counters.faults = faults_.count();
  counters.open_files = open_files_.count();
  return counters;
}

FileSystem& FileSystem::of(fuse_req_t request) { return *static_cast<FileSystem*>(fuse_req_userdata(request)); }

void FileSystem::init(void*, fuse_conn_info* connection) {
  connection->max_read = limits::kMountReadMaxBytes;  // and so says the mount option
  connection->max_background = kBackgroundRequests;
  connection->congestion_threshold = kBackgroundRequests * 3 / 4;
  connection->time_gran = 1'000'000'000;
  // With default_permissions the kernel then also minds the ACLs of an archive's members, whose mode tells less.
  if ((connection->capable & FUSE_CAP_POSIX_ACL) != 0) connection->want |= FUSE_CAP_POSIX_ACL;
}

bool FileSystem::attributes(fuse_req_t request, Node& node, struct stat& attributes) {
  attributes = {};
  attributes.st_ino = node.inode;
  attributes.st_uid = getuid();
  attributes.st_gid = getgid();
  attributes.st_blksize = kStatBlockBytes;
  attributes.st_mtim.tv_sec = attributes.st_ctim.tv_sec = attributes.st_atim.tv_sec = node.modified_seconds;
  if (const Directory* directory = node.directory()) {
    attributes.st_mode = S_IFDIR | 0550;
    attributes.st_nlink = 2 + directory->subdirectories;
    return true;
  }
  attributes.st_mode = S_IFREG | 0440;
  attributes.st_nlink = 1;
  std::uint64_t allocated_bytes = 0;
  if (VolumeFile* volume = node.volume()) {
    attributes.st_size = static_cast<off_t>(volume->geometry().size_bytes);
    allocated_bytes = volume->allocated_bytes();
  } else if (ArchiveTar* tar = node.tar()) {
    const Result<std::shared_ptr<const TarLayout>> layout = tar->layout();
    if (!layout.ok()) {
      faults_.reply(request, "telling the size", tar->path(), layout.status());
      return false;
    }
    allocated_bytes = (*layout)->size_bytes();
    attributes.st_size = static_cast<off_t>(allocated_bytes);
  } else if (const Bytes* bytes = node.file()) {
    allocated_bytes = bytes->size();
    attributes.st_size = static_cast<off_t>(allocated_bytes);
  }
  attributes.st_blocks = static_cast<blkcnt_t>((allocated_bytes + kBlockBytes - 1) / kBlockBytes);
  return true;
}

void FileSystem::lookup(fuse_req_t request, fuse_ino_t parent, const char* name) {
  FileSystem& self = of(request);
  if (is_tree_inode(parent)) return self.trees_.lookup(request, parent, name);
  fuse_entry_param entry{};
  entry.attr_timeout = entry.entry_timeout = kValidSeconds;
  // Inode 0 says that there is no such name, and for how long.
  if (Node* node = self.tree_.find_child(parent, name)) {
    if (const ArchiveRoot* root = node->archive_root()) {
      if (!self.trees_.describe_root(request, root->ordinal, entry)) return;
    } else {
      entry.ino = node->inode;
      if (!self.attributes(request, *node, entry.attr)) return;
    }
  }
  fuse_reply_entry(request, &entry);
}

void FileSystem::getattr(fuse_req_t request, fuse_ino_t inode, fuse_file_info*) {
  FileSystem& self = of(request);
  if (is_tree_inode(inode)) return self.trees_.getattr(request, inode);
  Node* node = self.tree_.find(inode);
  if (node == nullptr) {
    fuse_reply_err(request, ENOENT);
    return;
  }
  struct stat attributes;
  if (self.attributes(request, *node, attributes)) fuse_reply_attr(request, &attributes, kValidSeconds);
}

void FileSystem::readlink(fuse_req_t request, fuse_ino_t inode) {
  if (is_tree_inode(inode)) return of(request).trees_.readlink(request, inode);
  fuse_reply_err(request, EINVAL);
}

void FileSystem::open(fuse_req_t request, fuse_ino_t inode, fuse_file_info* info) {
  FileSystem& self = of(request);
  if ((info->flags & O_ACCMODE) != O_RDONLY) {
    fuse_reply_err(request, EROFS);
    return;
  }
  if (is_tree_inode(inode)) return self.trees_.open(request, inode, info);
  Node* node = self.tree_.find(inode);
  if (node == nullptr || node->directory() != nullptr) {
    fuse_reply_err(request, node == nullptr ? ENOENT : EISDIR);
    return;
  }
  self.open_node(request, *node, info);
}

void FileSystem::open_node(fuse_req_t request, Node& node, fuse_file_info* info) {
  std::unique_ptr<OpenFile> file;
  if (VolumeFile* volume = node.volume()) {
    file = std::make_unique<OpenVolume>(*volume, pool_);
  } else if (ArchiveTar* tar = node.tar()) {
    Result<std::shared_ptr<const TarLayout>> layout = tar->layout();
    if (!layout.ok()) {
      faults_.reply(request, "opening", tar->path(), layout.status());
      return;
    }
    file = tar->open(std::move(layout).value(), pool_);
  } else {
    file = std::make_unique<OpenBytes>(*node.file());
  }
  open_files_.reply(request, info, std::move(file));
}

void FileSystem::release(fuse_req_t request, fuse_ino_t, fuse_file_info* info) {
  of(request).open_files_.release(request, *info);
}

void FileSystem::read(fuse_req_t request, fuse_ino_t, std::size_t size, off_t offset, fuse_file_info* info) {
  of(request).open_files_.read(request, size, offset, *info);
}

void FileSystem::lseek(fuse_req_t request, fuse_ino_t, off_t offset, int whence, fuse_file_info* info) {
  of(request).open_files_.lseek(request, offset, whence, *info);
}

void FileSystem::opendir(fuse_req_t request, fuse_ino_t inode, fuse_file_info* info) {
  FileSystem& self = of(request);
  if (is_tree_inode(inode)) return self.trees_.opendir(request, inode, info);
  const Node* node = self.tree_.find(inode);
  if (node == nullptr || node->directory() == nullptr) {
    fuse_reply_err(request, node == nullptr ? ENOENT : ENOTDIR);
    return;
  }
  info->keep_cache = 1;
  info->cache_readdir = 1;
  fuse_reply_open(request, info);
}

void FileSystem::readdir(fuse_req_t request, fuse_ino_t inode, std::size_t size, off_t offset, fuse_file_info*) {
  of(request).list_directory(request, inode, size, offset, false);
}

void FileSystem::readdirplus(fuse_req_t request, fuse_ino_t inode, std::size_t size, off_t offset, fuse_file_info*) {
  of(request).list_directory(request, inode, size, offset, true);
}

// Positions: 0 is ".", 1 is "..", then the children in the order of their names. Attributes come when they are asked
// for: those of an archive cost a pass over its catalogue.
void FileSystem::list_directory(fuse_req_t request, fuse_ino_t inode, std::size_t size, off_t offset, bool plus) {
  if (is_tree_inode(inode)) return trees_.readdir(request, inode, size, offset, plus);
  const Node* node = tree_.find(inode);
  const Directory* directory = node == nullptr ? nullptr : node->directory();
  if (directory == nullptr) {
    fuse_reply_err(request, ENOTDIR);
    return;
  }
  std::vector<char> buffer(std::min<std::size_t>(size, limits::kMountReadMaxBytes));
  std::size_t used = 0;
  const std::size_t entries = directory->order.size() + 2;
  for (auto position = static_cast<std::size_t>(std::max<off_t>(offset, 0)); position < entries; ++position) {
    fuse_entry_param entry{};  // inode 0: the name and the type alone
    std::string name = position == 0 ? "." : "..";
    if (position < 2) {
      entry.attr.st_ino = position == 0 ? node->inode : node->parent;
      entry.attr.st_mode = S_IFDIR;
    } else {
      const auto& child = directory->order[position - 2];
      const Node& found = *tree_.find(child->second);
      entry.attr.st_ino = found.inode;
      entry.attr.st_mode = found.directory() != nullptr || found.archive_root() != nullptr ? S_IFDIR : S_IFREG;
      name = child->first;
    }
    char* const at = buffer.data() + used;
    const std::size_t room = buffer.size() - used;
    const auto next = static_cast<off_t>(position + 1);
    const std::size_t needed = plus ? fuse_add_direntry_plus(request, at, room, name.c_str(), &entry, next)
                                    : fuse_add_direntry(request, at, room, name.c_str(), &entry.attr, next);
    if (needed > room) break;
    used += needed;
  }
  fuse_reply_buf(request, buffer.data(), used);
}

void FileSystem::getxattr(fuse_req_t request, fuse_ino_t inode, const char* name, std::size_t size) {
  if (is_tree_inode(inode)) return of(request).trees_.getxattr(request, inode, name, size);
  fuse_reply_err(request, ENODATA);
}

void FileSystem::listxattr(fuse_req_t request, fuse_ino_t inode, std::size_t size) {
  if (is_tree_inode(inode)) return of(request).trees_.listxattr(request, inode, size);
  if (size == 0) {
    fuse_reply_xattr(request, 0);
  } else {
    fuse_reply_buf(request, nullptr, 0);
  }
}

void FileSystem::statfs(fuse_req_t request, fuse_ino_t) {
  const NodeTree& tree = of(request).tree_;
  struct statvfs answer {};
  answer.f_bsize = answer.f_frsize = kStatBlockBytes;
  answer.f_blocks = (tree.total_bytes() + kStatBlockBytes - 1) / kStatBlockBytes;
  answer.f_files = tree.size();
  answer.f_namemax = limits::kNameComponentMaxBytes;
  answer.f_flag = ST_RDONLY;
  fuse_reply_statfs(request, &answer);
}

}  // namespace vzv::fuse
