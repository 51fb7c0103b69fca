#include "core/store/repository_dir.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "core/base/limits.h"

namespace vzv {

namespace {

constexpr unsigned kDirectoryMode = 0755;

FileKind kind_of(mode_t mode) {
  if (S_ISREG(mode)) return FileKind::kFile;
  if (S_ISDIR(mode)) return FileKind::kDirectory;
  return FileKind::kOther;
}

bool absent(int error) { return error == ENOENT || error == ENOTDIR; }

// "" is the directory itself.
std::string or_self(std::string_view name) { return name.empty() ? "." : std::string(name); }

// "a/b" of "a/b/c"; "." of "c".
std::string parent_of(std::string_view name) {
  const std::size_t slash = name.rfind('/');
  return slash == std::string_view::npos ? "." : std::string(name.substr(0, slash));
}

// readdir(3) does not always know an entry's kind (d_type is optional, and some network file systems leave it out).
// Nothing for one that was removed meanwhile.
Result<std::optional<FileKind>> kind_of_entry(int directory, const dirent& entry, const std::string& doing) {
  if (entry.d_type == DT_REG) return std::optional(FileKind::kFile);
  if (entry.d_type == DT_DIR) return std::optional(FileKind::kDirectory);
  if (entry.d_type != DT_UNKNOWN) return std::optional(FileKind::kOther);
  struct stat status;
  if (::fstatat(directory, entry.d_name, &status, AT_SYMLINK_NOFOLLOW) == 0)
    return std::optional(kind_of(status.st_mode));
  if (errno == ENOENT) return std::optional<FileKind>();
  return storage_errno(errno, doing);
}

}  // namespace

Status check_name(std::string_view name) {
  const Status refused(Code::E_ARGUMENT_INVALID,
                       "the name \"" + std::string(name.substr(0, 300)) + "\" is not a relative path");
  if (name.empty() || name.size() > limits::kNameMaxBytes || name.find('\0') != std::string_view::npos) return refused;
  std::size_t begin = 0;
  while (begin <= name.size()) {
    const std::size_t end = std::min(name.find('/', begin), name.size());
    const std::string_view component = name.substr(begin, end - begin);
    if (component.empty() || component == "." || component == "..") return refused;
    if (component.size() > limits::kNameComponentMaxBytes) return refused;
    begin = end + 1;
  }
  return {};
}

Result<std::shared_ptr<RepositoryDir>> RepositoryDir::open(std::string path) {
  UniqueFd fd = open_at(AT_FDCWD, path.c_str(), O_RDONLY | O_DIRECTORY);
  if (!fd.valid()) {
    if (absent(errno)) return Status(Code::E_PATH_MISSING, "opening directory " + path + ": " + errno_text(errno));
    return storage_errno(errno, "opening directory " + path);
  }
  return std::shared_ptr<RepositoryDir>(new RepositoryDir(std::move(path), std::move(fd)));
}

Result<std::shared_ptr<RepositoryDir>> RepositoryDir::for_session(std::string session) const {
  UniqueFd fd(::fcntl(fd_.get(), F_DUPFD_CLOEXEC, 0));
  if (!fd.valid()) return storage_errno(errno, "opening directory " + path_);
  return std::shared_ptr<RepositoryDir>(new RepositoryDir(path_, std::move(fd), std::move(session)));
}

std::string RepositoryDir::full_name(std::string_view name) const {
  return name.empty() ? path_ : path_ + "/" + std::string(name);
}

Result<UniqueFd> RepositoryDir::open_read(std::string_view name) {
  VZV_TRY(check_name(name));
  UniqueFd fd = open_at(fd_.get(), std::string(name).c_str(), O_RDONLY | O_NONBLOCK);
  if (!fd.valid() && !absent(errno)) return storage_errno(errno, "opening " + full_name(name));
  return fd;
}

Result<std::optional<Bytes>> RepositoryDir::read(std::string_view name, std::uint64_t max_bytes) {
  Result<UniqueFd> fd = open_read(name);
  if (!fd.ok()) return fd.status();
  if (!fd->valid()) return std::optional<Bytes>();

  struct stat status;
  if (::fstat(fd->get(), &status) != 0) return storage_errno(errno, "reading " + full_name(name));
  if (!S_ISREG(status.st_mode)) return Status(Code::E_ARGUMENT_INVALID, full_name(name) + " is not a regular file");
  const auto size = static_cast<std::uint64_t>(status.st_size);
  const Status too_long(Code::E_ARGUMENT_INVALID, full_name(name) + " is longer than the " + std::to_string(max_bytes) +
                                                      " bytes that it may have");
  if (size > max_bytes) return too_long;

  // One byte more than it should have: a file that grows while it is read is not taken for a whole one.
  Bytes bytes(size + 1);
  const std::int64_t got = read_up_to_at(fd->get(), 0, bytes);
  if (got < 0) return storage_errno(static_cast<int>(-got), "reading " + full_name(name));
  if (static_cast<std::uint64_t>(got) > max_bytes) return too_long;
  bytes.resize(static_cast<std::size_t>(got));
  return std::optional<Bytes>(std::move(bytes));
}

Result<std::optional<FileStatus>> RepositoryDir::status(std::string_view name) {
  if (!name.empty()) VZV_TRY(check_name(name));
  struct stat status;
  if (::fstatat(fd_.get(), or_self(name).c_str(), &status, 0) != 0) {
    if (absent(errno)) return std::optional<FileStatus>();
    return storage_errno(errno, "looking at " + full_name(name));
  }
  const std::int64_t modified_ms = std::int64_t{status.st_mtim.tv_sec} * 1000 + status.st_mtim.tv_nsec / 1'000'000;
  return std::optional<FileStatus>(
      FileStatus{kind_of(status.st_mode), static_cast<std::uint64_t>(status.st_size), modified_ms});
}

Result<std::optional<std::vector<DirectoryEntry>>> RepositoryDir::list(std::string_view name) {
  if (!name.empty()) VZV_TRY(check_name(name));
  const std::string doing = "listing " + full_name(name);
  UniqueFd fd = open_at(fd_.get(), or_self(name).c_str(), O_RDONLY | O_DIRECTORY);
  if (!fd.valid()) {
    if (absent(errno)) return std::optional<std::vector<DirectoryEntry>>();
    return storage_errno(errno, doing);
  }
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(::fdopendir(fd.get()), ::closedir);
  if (stream == nullptr) return storage_errno(errno, doing);
  fd.release();  // the stream closes it

  std::vector<DirectoryEntry> entries;
  for (;;) {
    errno = 0;
    const dirent* entry = ::readdir(stream.get());
    if (entry == nullptr) break;
    const std::string_view entry_name(entry->d_name);
    if (entry_name == "." || entry_name == "..") continue;
    const Result<std::optional<FileKind>> kind = kind_of_entry(::dirfd(stream.get()), *entry, doing);
    if (!kind.ok()) return kind.status();
    if (*kind) entries.push_back({std::string(entry_name), **kind});
  }
  if (errno != 0) return storage_errno(errno, doing);
  std::sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  return std::optional<std::vector<DirectoryEntry>>(std::move(entries));
}

Status RepositoryDir::sync_parent(const std::string& name) {
  const UniqueFd parent = open_at(fd_.get(), parent_of(name).c_str(), O_RDONLY | O_DIRECTORY);
  const int error = parent.valid() ? sync_directory(parent.get()) : errno;
  return error == 0 ? Status() : storage_errno(error, "making " + full_name(name) + " durable");
}

bool RepositoryDir::is_directory(const std::string& name) const {
  struct stat status;
  return ::fstatat(fd_.get(), name.c_str(), &status, 0) == 0 && S_ISDIR(status.st_mode);
}

bool RepositoryDir::known_durable(const std::string& directory) const {
  std::lock_guard lock(durable_mutex_);
  return durable_.contains(directory);
}

Status RepositoryDir::make_durable(const std::string& directory) {
  VZV_TRY(sync_parent(directory));
  std::lock_guard lock(durable_mutex_);
  if (durable_.size() >= limits::kDurableDirectoriesMax) durable_.clear();
  durable_.insert(directory);
  return {};
}

Status RepositoryDir::make_directories(std::string_view name) {
  VZV_TRY(check_name(name));
  // Most of the time it is there.
  const std::string whole(name);
  if (known_durable(whole) && is_directory(whole)) return {};

  for (std::size_t end = 0; end != std::string_view::npos;) {
    end = name.find('/', end + 1);
    const std::string prefix(name.substr(0, end));
    const bool made = ::mkdirat(fd_.get(), prefix.c_str(), kDirectoryMode) == 0;
    const int error = errno;
    if (!made && !is_directory(prefix)) {
      // A file in its place is no name that is taken: callers take that for a file of the same bytes.
      return storage_errno(error == EEXIST ? ENOTDIR : error, "making directory " + full_name(prefix));
    }
    // Who made one that is there already may not have come to its fsync yet.
    if (made || !known_durable(prefix)) VZV_TRY(make_durable(prefix));
  }
  return {};
}

Status RepositoryDir::put(std::string_view name, ByteSpan bytes, bool overwrite) {
  VZV_TRY(check_name(name));
  Result<std::unique_ptr<NewFile>> file = create();
  if (!file.ok()) return file.status();
  VZV_TRY((*file)->append(bytes));
  return overwrite ? (*file)->publish_over(name) : (*file)->publish(name);
}

Status RepositoryDir::put_if_absent(std::string_view name, ByteSpan bytes) { return put(name, bytes, false); }

Status RepositoryDir::replace(std::string_view name, ByteSpan bytes) { return put(name, bytes, true); }

Result<bool> RepositoryDir::remove(std::string_view name) {
  VZV_TRY(check_name(name));
  const std::string path(name);
  // unlink(2) of a directory fails with EISDIR on Linux, with EPERM by POSIX.
  int result = ::unlinkat(fd_.get(), path.c_str(), 0);
  if (result != 0 && (errno == EISDIR || errno == EPERM)) {
    const int error = errno;
    result = ::unlinkat(fd_.get(), path.c_str(), AT_REMOVEDIR);
    if (result != 0 && errno == ENOTDIR) errno = error;
  }
  if (result != 0) {
    if (absent(errno)) return false;
    return storage_errno(errno, "removing " + full_name(name));
  }
  VZV_TRY(sync_parent(path));
  return true;
}

Result<bool> RepositoryDir::move(std::string_view from, std::string_view to) {
  VZV_TRY(check_name(from));
  VZV_TRY(check_name(to));
  const std::string old_name(from);
  const std::string new_name(to);
  const std::string doing = "moving " + full_name(from) + " to " + full_name(to);
  if (const std::size_t slash = new_name.rfind('/'); slash != std::string::npos) {
    VZV_TRY(make_directories(new_name.substr(0, slash)));
  }
  int result = ::renameat2(fd_.get(), old_name.c_str(), fd_.get(), new_name.c_str(), RENAME_NOREPLACE);
  if (result != 0 && (errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP)) {
    // NFS has no such rename. Nobody else makes names where these files go, so that a look is enough.
    struct stat taken;
    if (::fstatat(fd_.get(), new_name.c_str(), &taken, AT_SYMLINK_NOFOLLOW) == 0) {
      return storage_errno(EEXIST, doing);
    }
    result = ::renameat(fd_.get(), old_name.c_str(), fd_.get(), new_name.c_str());
  }
  if (result != 0) {
    if (absent(errno)) return false;
    return storage_errno(errno, doing);
  }
  VZV_TRY(sync_parent(new_name));
  VZV_TRY(sync_parent(old_name));
  return true;
}

Result<Space> RepositoryDir::space() {
  struct statvfs status;
  if (::fstatvfs(fd_.get(), &status) != 0) return storage_errno(errno, "asking for the free space of " + path_);
  const std::uint64_t unit = status.f_frsize;
  return Space{status.f_blocks * unit, status.f_bavail * unit, (status.f_blocks - status.f_bfree) * unit};
}

}  // namespace vzv
