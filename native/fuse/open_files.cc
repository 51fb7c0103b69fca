#include "fuse/open_files.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <span>
#include <string>
#include <utility>

#include "core/base/id.h"
#include "core/base/limits.h"

namespace vzv::fuse {
namespace {

// "bytes 0 to 4096"
std::string describe_range(std::uint64_t offset, std::uint64_t length) {
  return "bytes " + std::to_string(offset) + " to " + std::to_string(offset + length);
}

OpenFile& file_of(const fuse_file_info& info) { return *reinterpret_cast<OpenFile*>(info.fh); }

}  // namespace

void OpenFiles::reply(fuse_req_t request, fuse_file_info* info, std::unique_ptr<OpenFile> file) {
  const auto handle = reinterpret_cast<std::uint64_t>(file.get());
  info->fh = handle;
  info->direct_io = file->direct() ? 1 : 0;
  info->keep_cache = 1;
  info->noflush = 1;
  {
    const std::lock_guard lock(mutex_);
    files_.emplace(handle, std::move(file));
  }
  if (fuse_reply_open(request, info) == -ENOENT) {
    // The opener was interrupted: no release will come.
    const std::lock_guard lock(mutex_);
    files_.erase(handle);
  }
}

void OpenFiles::release(fuse_req_t request, const fuse_file_info& info) {
  std::unique_ptr<OpenFile> file;
  {
    const std::lock_guard lock(mutex_);
    const auto found = files_.find(info.fh);
    if (found != files_.end()) {
      file = std::move(found->second);
      files_.erase(found);
    }
  }
  fuse_reply_err(request, 0);
}

std::uint64_t OpenFiles::count() const {
  const std::lock_guard lock(mutex_);
  return files_.size();
}

void OpenFiles::read(fuse_req_t request, std::size_t size, off_t offset, const fuse_file_info& info) {
  OpenFile& file = file_of(info);
  const auto begin = static_cast<std::uint64_t>(offset);
  reads_.fetch_add(1, std::memory_order_relaxed);
  if (begin >= file.size_bytes()) {
    fuse_reply_buf(request, nullptr, 0);
    return;
  }
  const std::uint64_t length = std::min<std::uint64_t>(size, file.size_bytes() - begin);
  read_bytes_.fetch_add(length, std::memory_order_relaxed);
  thread_local Bytes buffer;  // one of kMountReadMaxBytes for each of the bounded number of threads
  if (buffer.size() < length) buffer.resize(std::max<std::uint64_t>(length, limits::kMountReadMaxBytes));
  const Status status = file.read(begin, std::span(buffer).first(length));
  if (!status.ok()) {
    faults_.reply(request, "reading " + describe_range(begin, length), file.path(), status);
    return;
  }
  fuse_reply_buf(request, reinterpret_cast<const char*>(buffer.data()), length);
}

void OpenFiles::lseek(fuse_req_t request, off_t offset, int whence, const fuse_file_info& info) {
  OpenFile& file = file_of(info);
  if (whence != SEEK_DATA && whence != SEEK_HOLE) {
    fuse_reply_err(request, EINVAL);
    return;
  }
  const auto begin = static_cast<std::uint64_t>(offset);
  if (offset < 0 || begin >= file.size_bytes()) {
    fuse_reply_err(request, ENXIO);
    return;
  }
  const Result<std::uint64_t> found = whence == SEEK_DATA ? file.seek_data(begin) : file.seek_hole(begin);
  if (!found.ok()) {
    faults_.reply(request, "looking for data and holes from byte " + std::to_string(begin), file.path(),
                  found.status());
  } else if (whence == SEEK_DATA && *found >= file.size_bytes()) {
    fuse_reply_err(request, ENXIO);
  } else {
    fuse_reply_lseek(request, static_cast<off_t>(*found));
  }
}

}  // namespace vzv::fuse
