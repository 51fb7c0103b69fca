#include "test/crash/file_recorder.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <utility>

extern "C" {
int __real_openat64(int directory, const char* name, int flags, ...);
int __real_mkdirat(int directory, const char* name, mode_t mode);
ssize_t __real_write(int fd, const void* bytes, size_t length);
int __real_fsync(int fd);
int __real_renameat(int from_directory, const char* from, int to_directory, const char* to);
int __real_renameat2(int from_directory, const char* from, int to_directory, const char* to, unsigned flags);
int __real_linkat(int from_directory, const char* from, int to_directory, const char* to, int flags);
int __real_unlinkat(int directory, const char* name, int flags);
int __real_close(int fd);
}

namespace vzv::test {

namespace {

std::atomic<FileRecorder*> active{nullptr};
std::atomic<int> without_sync{0};

std::string path_of(int fd) {
  if (fd == AT_FDCWD) return "";
  char path[4096];
  const ssize_t length = ::readlink(("/proc/self/fd/" + std::to_string(fd)).c_str(), path, sizeof path);
  return length < 0 ? "" : std::string(path, static_cast<std::size_t>(length));
}

int refuse(int error) {
  errno = error;
  return -1;
}

}  // namespace

FileRecorder::FileRecorder(std::string root, Mistake mistake) : root_(std::move(root)), mistake_(std::move(mistake)) {
  active = this;
}

FileRecorder::~FileRecorder() { active = nullptr; }

void FileRecorder::fail(Failure failure) {
  std::lock_guard lock(mutex_);
  failure_ = failure;
}

std::size_t FileRecorder::size() const {
  std::lock_guard lock(mutex_);
  return events_.size();
}

std::uint64_t FileRecorder::calls() const {
  std::lock_guard lock(mutex_);
  return calls_;
}

std::vector<FileEvent> FileRecorder::events() const {
  std::lock_guard lock(mutex_);
  return events_;
}

std::optional<FileEvent> FileRecorder::failed() const {
  std::lock_guard lock(mutex_);
  return failed_;
}

std::optional<std::string> FileRecorder::name_of(int directory, const char* name) const {
  std::string path = name[0] == '/' ? name : path_of(directory) + "/" + name;
  if (path.ends_with("/.")) path.resize(path.size() - 2);
  if (path == root_) return "";
  if (!path.starts_with(root_ + "/")) return std::nullopt;
  return path.substr(root_.size() + 1);
}

void FileRecorder::keep(FileEvent event) {
  const bool is_sync = event.call == FileCall::kSyncFile || event.call == FileCall::kSyncDirectory;
  if (is_sync && mistake_.without_sync && mistake_.without_sync(event)) return;
  if (event.call == FileCall::kSyncFile && mistake_.sync_after_rename) {
    held_back_.push_back(std::move(event));
    return;
  }
  const bool is_rename = event.call == FileCall::kRename;
  events_.push_back(std::move(event));
  if (!is_rename) return;
  for (FileEvent& held : held_back_) events_.push_back(std::move(held));
  held_back_.clear();
}

int FileRecorder::run(FileEvent event, const std::function<int()>& call) {
  std::lock_guard lock(mutex_);
  const bool fails = failure_ && calls_++ == failure_->call_number;
  if (!failure_) ++calls_;
  if (fails) {
    failed_ = event;
    if (failure_->how != Failure::How::kDone) return refuse(failure_->error);
  }
  const int result = call();
  if (result < 0) return result;
  if (event.call == FileCall::kCreate) {
    event.file = next_file_++;
    open_[result] = {event.file, event.name};
  }
  keep(std::move(event));
  if (!fails) return result;
  if (failed_->call == FileCall::kCreate) {
    open_.erase(result);
    __real_close(result);
  }
  return refuse(failure_->error);
}

int FileRecorder::open(int directory, const char* name, int flags, unsigned mode) {
  const auto real = [&] { return __real_openat64(directory, name, flags, mode); };
  if ((flags & O_CREAT) == 0) return real();
  const auto below = name_of(directory, name);
  return below ? run({FileCall::kCreate, *below}, real) : real();
}

long FileRecorder::write(int fd, const void* bytes, std::size_t length) {
  std::lock_guard lock(mutex_);
  const auto open = open_.find(fd);
  if (open == open_.end()) return __real_write(fd, bytes, length);
  const auto* begin = static_cast<const std::uint8_t*>(bytes);
  FileEvent event{FileCall::kWrite, open->second.name, {}, open->second.file, {}};
  if (torn_) {
    torn_ = false;
    return refuse(failure_->error);
  }
  const bool fails = failure_ && calls_ == failure_->call_number;
  ++calls_;
  if (fails) {
    failed_ = event;
    if (failure_->how != Failure::How::kTornWrite || length < 2) return refuse(failure_->error);
    torn_ = true;
    length /= 2;
  }
  const ssize_t put = __real_write(fd, bytes, length);
  if (put <= 0) return put;
  event.bytes.assign(begin, begin + put);
  events_.push_back(std::move(event));
  return put;
}

int FileRecorder::sync(int fd) {
  FileEvent event{FileCall::kSyncFile};
  {
    std::lock_guard lock(mutex_);
    const auto open = open_.find(fd);
    if (open != open_.end()) {
      event.name = open->second.name;
      event.file = open->second.file;
    }
  }
  // The file system below need not be asked: what is durable is what these events say.
  const auto done = [] { return 0; };
  if (event.file != 0) return run(std::move(event), done);
  const auto below = name_of(fd, ".");
  return below ? run({FileCall::kSyncDirectory, *below}, done) : __real_fsync(fd);
}

int FileRecorder::rename(int from_directory, const char* from, int to_directory, const char* to, unsigned flags) {
  const auto real = [&] { return __real_renameat2(from_directory, from, to_directory, to, flags); };
  const auto old_name = name_of(from_directory, from);
  const auto new_name = name_of(to_directory, to);
  return old_name && new_name ? run({FileCall::kRename, *old_name, *new_name}, real) : real();
}

int FileRecorder::link(int from_directory, const char* from, int to_directory, const char* to, int flags) {
  const auto real = [&] { return __real_linkat(from_directory, from, to_directory, to, flags); };
  const auto old_name = name_of(from_directory, from);
  const auto new_name = name_of(to_directory, to);
  return old_name && new_name ? run({FileCall::kLink, *old_name, *new_name}, real) : real();
}

int FileRecorder::unlink(int directory, const char* name, int flags) {
  const auto real = [&] { return __real_unlinkat(directory, name, flags); };
  const auto below = name_of(directory, name);
  if (!below) return real();
  return run({(flags & AT_REMOVEDIR) != 0 ? FileCall::kRemoveDirectory : FileCall::kUnlink, *below}, real);
}

int FileRecorder::make_directory(int directory, const char* name, unsigned mode) {
  const auto real = [&] { return __real_mkdirat(directory, name, mode); };
  const auto below = name_of(directory, name);
  return below ? run({FileCall::kMakeDirectory, *below}, real) : real();
}

int FileRecorder::close(int fd) {
  FileEvent event{FileCall::kClose};
  {
    std::lock_guard lock(mutex_);
    const auto open = open_.find(fd);
    if (open == open_.end()) return __real_close(fd);
    event.name = open->second.name;
    event.file = open->second.file;
    open_.erase(open);
  }
  // A descriptor is gone whatever close() answers.
  const int result = __real_close(fd);
  return run(std::move(event), [&] { return result; });
}

NoSync::NoSync() { ++without_sync; }

NoSync::~NoSync() { --without_sync; }

}  // namespace vzv::test

using vzv::test::active;
using vzv::test::without_sync;

extern "C" {

// What openat() is called in the library where offsets have 64 bits.
int __wrap_openat64(int directory, const char* name, int flags, ...) {
  unsigned mode = 0;
  if ((flags & O_CREAT) != 0) {
    va_list arguments;
    va_start(arguments, flags);
    mode = va_arg(arguments, unsigned);
    va_end(arguments);
  }
  auto* recorder = active.load();
  return recorder ? recorder->open(directory, name, flags, mode) : __real_openat64(directory, name, flags, mode);
}

int __wrap_mkdirat(int directory, const char* name, mode_t mode) {
  auto* recorder = active.load();
  return recorder ? recorder->make_directory(directory, name, mode) : __real_mkdirat(directory, name, mode);
}

ssize_t __wrap_write(int fd, const void* bytes, size_t length) {
  auto* recorder = active.load();
  return recorder ? recorder->write(fd, bytes, length) : __real_write(fd, bytes, length);
}

int __wrap_fsync(int fd) {
  auto* recorder = active.load();
  if (recorder) return recorder->sync(fd);
  return without_sync > 0 ? 0 : __real_fsync(fd);
}

int __wrap_renameat(int from_directory, const char* from, int to_directory, const char* to) {
  auto* recorder = active.load();
  return recorder ? recorder->rename(from_directory, from, to_directory, to, 0)
                  : __real_renameat(from_directory, from, to_directory, to);
}

int __wrap_renameat2(int from_directory, const char* from, int to_directory, const char* to, unsigned flags) {
  auto* recorder = active.load();
  return recorder ? recorder->rename(from_directory, from, to_directory, to, flags)
                  : __real_renameat2(from_directory, from, to_directory, to, flags);
}

int __wrap_linkat(int from_directory, const char* from, int to_directory, const char* to, int flags) {
  auto* recorder = active.load();
  return recorder ? recorder->link(from_directory, from, to_directory, to, flags)
                  : __real_linkat(from_directory, from, to_directory, to, flags);
}

int __wrap_unlinkat(int directory, const char* name, int flags) {
  auto* recorder = active.load();
  return recorder ? recorder->unlink(directory, name, flags) : __real_unlinkat(directory, name, flags);
}

int __wrap_close(int fd) {
  auto* recorder = active.load();
  return recorder ? recorder->close(fd) : __real_close(fd);
}
}
