#include "fuse/file_system.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "core/base/limits.h"

namespace vzv::fuse {
namespace {

// Nothing ever changes below a mount.
constexpr double kValidSeconds = 86'400;
constexpr std::uint64_t kBlockBytes = 512;        // of st_blocks
constexpr std::uint32_t kStatBlockBytes = 4'096;  // what statfs counts in
constexpr unsigned kBackgroundRequests = 64;      // read-ahead requests that the kernel may keep in flight

// "bytes 0 to 4096"
std::string describe_range(std::uint64_t offset, std::uint64_t length) {
  return "bytes " + std::to_string(offset) + " to " + std::to_string(offset + length);
}

}  // namespace

const fuse_lowlevel_ops& FileSystem::operations() {
  static const fuse_lowlevel_ops kOperations = [] {
    fuse_lowlevel_ops operations{};
    operations.init = init;
    operations.lookup = lookup;
    operations.getattr = getattr;
    operations.open = open;
    operations.release = release;
    operations.read = read;
    operations.lseek = lseek;
    operations.opendir = opendir;
    operations.readdir = readdir;
    operations.statfs = statfs;
    return operations;
  }();
  return kOperations;
}

RequestCounters FileSystem::counters() const {
  RequestCounters counters;
  counters.reads = reads_.load(std::memory_order_relaxed);
  counters.read_bytes = read_bytes_.load(std::memory_order_relaxed);
  counters.faults = faults_.load(std::memory_order_relaxed);
  const std::lock_guard lock(mutex_);
  counters.open_files = open_files_.size();
  return counters;
}

FileSystem& FileSystem::of(fuse_req_t request) { return *static_cast<FileSystem*>(fuse_req_userdata(request)); }

void FileSystem::init(void*, fuse_conn_info* connection) {
  connection->max_read = limits::kMountReadMaxBytes;  // and so says the mount option
  connection->max_background = kBackgroundRequests;
  connection->congestion_threshold = kBackgroundRequests * 3 / 4;
  connection->time_gran = 1'000'000'000;
}

void FileSystem::attributes(Node& node, struct stat& attributes) {
  attributes = {};
  attributes.st_ino = node.inode;
  attributes.st_uid = getuid();
  attributes.st_gid = getgid();
  attributes.st_blksize = kStatBlockBytes;
  attributes.st_mtim.tv_sec = attributes.st_ctim.tv_sec = attributes.st_atim.tv_sec = node.modified_seconds;
  if (const Directory* directory = node.directory()) {
    attributes.st_mode = S_IFDIR | 0550;
    attributes.st_nlink = 2 + directory->subdirectories;
    return;
  }
  attributes.st_mode = S_IFREG | 0440;
  attributes.st_nlink = 1;
  attributes.st_size = static_cast<off_t>(node.size_bytes());
  VolumeFile* volume = node.volume();
  const std::uint64_t allocated_bytes = volume != nullptr ? volume->allocated_bytes() : node.size_bytes();
  attributes.st_blocks = static_cast<blkcnt_t>((allocated_bytes + kBlockBytes - 1) / kBlockBytes);
}

void FileSystem::lookup(fuse_req_t request, fuse_ino_t parent, const char* name) {
  FileSystem& self = of(request);
  fuse_entry_param entry{};
  entry.attr_timeout = entry.entry_timeout = kValidSeconds;
  // Inode 0 says that there is no such name, and for how long.
  if (Node* node = self.tree_.find_child(parent, name)) {
    entry.ino = node->inode;
    self.attributes(*node, entry.attr);
  }
  fuse_reply_entry(request, &entry);
}

void FileSystem::getattr(fuse_req_t request, fuse_ino_t inode, fuse_file_info*) {
  FileSystem& self = of(request);
  Node* node = self.tree_.find(inode);
  if (node == nullptr) {
    fuse_reply_err(request, ENOENT);
    return;
  }
  struct stat attributes;
  self.attributes(*node, attributes);
  fuse_reply_attr(request, &attributes, kValidSeconds);
}

void FileSystem::open(fuse_req_t request, fuse_ino_t inode, fuse_file_info* info) {
  FileSystem& self = of(request);
  Node* node = self.tree_.find(inode);
  if (node == nullptr || node->directory() != nullptr) {
    fuse_reply_err(request, node == nullptr ? ENOENT : EISDIR);
    return;
  }
  if ((info->flags & O_ACCMODE) != O_RDONLY) {
    fuse_reply_err(request, EROFS);
    return;
  }
  auto file = std::make_unique<OpenFile>(*node);
  if (VolumeFile* volume = node->volume()) file->stream.emplace(*volume, self.pool_);
  info->fh = reinterpret_cast<std::uint64_t>(file.get());
  info->keep_cache = 1;
  info->noflush = 1;
  const std::uint64_t handle = info->fh;
  {
    const std::lock_guard lock(self.mutex_);
    self.open_files_.emplace(handle, std::move(file));
  }
  if (fuse_reply_open(request, info) == -ENOENT) {
    // The opener was interrupted: no release will come.
    const std::lock_guard lock(self.mutex_);
    self.open_files_.erase(handle);
  }
}

void FileSystem::release(fuse_req_t request, fuse_ino_t, fuse_file_info* info) {
  FileSystem& self = of(request);
  std::unique_ptr<OpenFile> file;
  {
    const std::lock_guard lock(self.mutex_);
    const auto found = self.open_files_.find(info->fh);
    if (found != self.open_files_.end()) {
      file = std::move(found->second);
      self.open_files_.erase(found);
    }
  }
  fuse_reply_err(request, 0);
}

void FileSystem::read(fuse_req_t request, fuse_ino_t, std::size_t size, off_t offset, fuse_file_info* info) {
  FileSystem& self = of(request);
  OpenFile& file = *reinterpret_cast<OpenFile*>(info->fh);
  const std::uint64_t size_bytes = file.node.size_bytes();
  const auto begin = static_cast<std::uint64_t>(offset);
  self.reads_.fetch_add(1, std::memory_order_relaxed);
  if (begin >= size_bytes) {
    fuse_reply_buf(request, nullptr, 0);
    return;
  }
  const std::uint64_t length = std::min<std::uint64_t>(size, size_bytes - begin);
  self.read_bytes_.fetch_add(length, std::memory_order_relaxed);
  if (const Bytes* bytes = file.node.file()) {
    fuse_reply_buf(request, reinterpret_cast<const char*>(bytes->data() + begin), length);
    return;
  }
  self.read_volume(request, file, begin, length);
}

void FileSystem::read_volume(fuse_req_t request, OpenFile& file, std::uint64_t offset, std::uint64_t length) {
  thread_local Bytes buffer;  // one of kMountReadMaxBytes for each of the bounded number of threads
  if (buffer.size() < length) buffer.resize(std::max<std::uint64_t>(length, limits::kMountReadMaxBytes));
  VolumeFile& volume = *file.node.volume();
  if (length > 0) file.stream->note(offset, length);
  const Status status = volume.read(offset, std::span(buffer).first(length));
  if (!status.ok()) {
    fail(request, volume, "reading " + describe_range(offset, length), status);
    return;
  }
  fuse_reply_buf(request, reinterpret_cast<const char*>(buffer.data()), length);
}

void FileSystem::fail(fuse_req_t request, const VolumeFile& volume, const std::string& doing, const Status& status) {
  faults_.fetch_add(1, std::memory_order_relaxed);
  log_.fault(volume.path() + ": " + status.message(), doing + " of " + volume.path(), status);
  fuse_reply_err(request, EIO);
}

void FileSystem::lseek(fuse_req_t request, fuse_ino_t, off_t offset, int whence, fuse_file_info* info) {
  FileSystem& self = of(request);
  const OpenFile& file = *reinterpret_cast<OpenFile*>(info->fh);
  const std::uint64_t size_bytes = file.node.size_bytes();
  if (whence != SEEK_DATA && whence != SEEK_HOLE) {
    fuse_reply_err(request, EINVAL);
  } else if (offset < 0 || static_cast<std::uint64_t>(offset) >= size_bytes) {
    fuse_reply_err(request, ENXIO);
  } else if (VolumeFile* volume = file.node.volume()) {
    self.seek_volume(request, *volume, static_cast<std::uint64_t>(offset), whence);
  } else {
    fuse_reply_lseek(request, whence == SEEK_DATA ? offset : static_cast<off_t>(size_bytes));
  }
}

void FileSystem::seek_volume(fuse_req_t request, VolumeFile& volume, std::uint64_t offset, int whence) {
  const Result<std::uint64_t> found = whence == SEEK_DATA ? volume.seek_data(offset) : volume.seek_hole(offset);
  if (!found.ok()) {
    fail(request, volume, "looking for data and holes from byte " + std::to_string(offset), found.status());
  } else if (whence == SEEK_DATA && *found >= volume.geometry().size_bytes) {
    fuse_reply_err(request, ENXIO);
  } else {
    fuse_reply_lseek(request, static_cast<off_t>(*found));
  }
}

void FileSystem::opendir(fuse_req_t request, fuse_ino_t inode, fuse_file_info* info) {
  const Node* node = of(request).tree_.find(inode);
  if (node == nullptr || node->directory() == nullptr) {
    fuse_reply_err(request, node == nullptr ? ENOENT : ENOTDIR);
    return;
  }
  info->keep_cache = 1;
  info->cache_readdir = 1;
  fuse_reply_open(request, info);
}

// Positions: 0 is ".", 1 is "..", then the children in the order of their names.
void FileSystem::readdir(fuse_req_t request, fuse_ino_t inode, std::size_t size, off_t offset, fuse_file_info*) {
  NodeTree& tree = of(request).tree_;
  const Node* node = tree.find(inode);
  const Directory* directory = node == nullptr ? nullptr : node->directory();
  if (directory == nullptr) {
    fuse_reply_err(request, ENOTDIR);
    return;
  }
  Bytes buffer(std::min<std::size_t>(size, limits::kMountReadMaxBytes));
  std::size_t used = 0;
  const std::size_t entries = directory->order.size() + 2;
  for (auto position = static_cast<std::size_t>(std::max<off_t>(offset, 0)); position < entries; ++position) {
    struct stat attributes {};
    std::string name;
    if (position < 2) {
      attributes.st_ino = position == 0 ? node->inode : node->parent;
      attributes.st_mode = S_IFDIR;
      name = position == 0 ? "." : "..";
    } else {
      const auto& child = directory->order[position - 2];
      attributes.st_ino = child->second;
      attributes.st_mode = tree.find(child->second)->directory() != nullptr ? S_IFDIR : S_IFREG;
      name = child->first;
    }
    const std::size_t needed =
        fuse_add_direntry(request, reinterpret_cast<char*>(buffer.data() + used), buffer.size() - used, name.c_str(),
                          &attributes, static_cast<off_t>(position + 1));
    if (needed > buffer.size() - used) break;
    used += needed;
  }
  fuse_reply_buf(request, reinterpret_cast<const char*>(buffer.data()), used);
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
