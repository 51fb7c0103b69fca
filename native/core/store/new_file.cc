// NewFile: the one way in which a name comes into being in a repository (docs/format.md, The directory), and which
// kinds of it a file system has.
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "core/base/crash_point.h"
#include "core/store/repository_dir.h"

namespace vzv {

namespace {

constexpr unsigned kFileMode = 0644;

// What file systems answer that do not know a kind of rename or link.
bool unsupported(int error) { return error == EINVAL || error == ENOSYS || error == EOPNOTSUPP; }

// Where a test may want the life of a pack or a segment to end.
void pass_crash_point_of(std::string_view name, CrashPoint of_pack, CrashPoint of_segment) {
  if (armed_crash_point == CrashPoint::kNone) return;
  if (name.starts_with("packs/")) pass_crash_point(of_pack);
  if (name.starts_with("index/")) pass_crash_point(of_segment);
}

std::string random_name(const std::string& session) {
  Id random;
  random_bytes(random.bytes);
  return "tmp/" + session + (session.empty() ? "" : "-") + random.hex().substr(0, 32);
}

// Gives a file one more name, or one name in place of another.
using Naming = int (*)(int directory, const char* from, const char* to);

int rename_no_replace_call(int directory, const char* from, const char* to) {
  return ::renameat2(directory, from, directory, to, RENAME_NOREPLACE);
}

int link_call(int directory, const char* from, const char* to) { return ::linkat(directory, from, directory, to, 0); }

// Whether `naming` makes a name that is free and refuses one that is taken. An errno where that cannot be told.
// REQUIRES: `file` and `taken` are files, `free` is absent.
Result<bool> can_name(Naming naming, int directory, const std::string& file, const std::string& taken,
                      const std::string& free) {
  const auto refused = [](int error) { return unsupported(error) || error == EPERM; };
  const std::string doing = "trying out how " + file + " is named without replacing";
  if (naming(directory, file.c_str(), taken.c_str()) == 0) return false;
  if (refused(errno)) return false;
  if (errno != EEXIST) return storage_errno(errno, doing);
  if (naming(directory, file.c_str(), free.c_str()) == 0) return true;
  if (refused(errno)) return false;
  return storage_errno(errno, doing);
}

}  // namespace

Result<NoReplace> RepositoryDir::no_replace() {
  std::lock_guard lock(no_replace_mutex_);
  if (no_replace_) return *no_replace_;
  NoReplace found = NoReplace::kNone;
  for (const auto& [kind, naming] : {std::pair{NoReplace::kRename, Naming{rename_no_replace_call}},
                                     std::pair{NoReplace::kLink, Naming{link_call}}}) {
    Result<std::unique_ptr<NewFile>> file = create();
    if (!file.ok()) return file.status();
    Result<std::unique_ptr<NewFile>> taken = create();
    if (!taken.ok()) return taken.status();
    const std::string free = random_name(session_);
    const Result<bool> can = can_name(naming, fd_.get(), (*file)->name_, (*taken)->name_, free);
    (void)::unlinkat(fd_.get(), free.c_str(), 0);
    if (!can.ok()) return can.status();
    if (!*can) continue;
    found = kind;
    break;
  }
  no_replace_ = found;
  return found;
}

Result<std::unique_ptr<NewFile>> RepositoryDir::create() {
  const std::string name = random_name(session_);
  UniqueFd fd = open_at(fd_.get(), name.c_str(), O_RDWR | O_CREAT | O_EXCL, kFileMode);
  if (!fd.valid() && errno == ENOENT) {
    VZV_TRY(make_directories("tmp"));
    fd = open_at(fd_.get(), name.c_str(), O_RDWR | O_CREAT | O_EXCL, kFileMode);
  }
  if (!fd.valid()) return storage_errno(errno, "creating " + full_name(name));
  return std::unique_ptr<NewFile>(new NewFile(shared_from_this(), name, std::move(fd)));
}

NewFile::~NewFile() {
  if (published_) return;
  fd_.reset();
  // Nothing hangs on it: what lies in tmp/ counts as absent, and collection removes it.
  (void)::unlinkat(dir_->fd_.get(), name_.c_str(), 0);
}

Status NewFile::append(ByteSpan bytes) {
  const int error = write_all(fd_.get(), bytes);
  if (error != 0) return storage_errno(error, "writing " + dir_->full_name(name_));
  bytes_written_ += bytes.size();
  return {};
}

int NewFile::rename_no_replace(const char* name) {
  const int dir = dir_->fd_.get();
  if (::renameat2(dir, name_.c_str(), dir, name, RENAME_NOREPLACE) == 0) return 0;
  if (!unsupported(errno)) return errno;

  // NFS has no such rename, but link(2) never replaces either.
  if (::linkat(dir, name_.c_str(), dir, name, 0) != 0) {
    const int error = errno;
    // EPERM is what link(2) says where there are no hard links. Then there is nothing but to look first; of two that
    // come at once, both may succeed, so that no collector relies on it.
    if (unsupported(error) || error == EPERM) {
      struct stat taken;
      if (::fstatat(dir, name, &taken, AT_SYMLINK_NOFOLLOW) == 0) return EEXIST;
      if (errno != ENOENT) return errno;
      return ::renameat(dir, name_.c_str(), dir, name) == 0 ? 0 : errno;
    }
    // Where its answer was lost, a server may refuse the client's second try because of the first: then the name is
    // this file's. The number of links would not tell, since the client may remember the old one.
    struct stat ours;
    struct stat named;
    const bool linked = error == EEXIST && ::fstat(fd_.get(), &ours) == 0 &&
                        ::fstatat(dir, name, &named, AT_SYMLINK_NOFOLLOW) == 0 && ours.st_dev == named.st_dev &&
                        ours.st_ino == named.st_ino;
    if (!linked) return error;
  }
  (void)::unlinkat(dir, name_.c_str(), 0);  // the second name of a file that is published: harmless where it stays
  return 0;
}

Status NewFile::publish_as(std::string_view name, Publish how) {
  VZV_TRY(check_name(name));
  const std::string target(name);
  const std::string doing = "writing " + dir_->full_name(name);
  const int dir = dir_->fd_.get();

  int error = how == Publish::kCached ? 0 : sync_file(fd_.get());
  if (error != 0) return storage_errno(error, doing);
  pass_crash_point_of(name, CrashPoint::kPackSynced, CrashPoint::kSegmentSynced);
  if (const std::size_t slash = target.rfind('/'); slash != std::string::npos) {
    VZV_TRY(dir_->make_directories(name.substr(0, slash)));
  }
  if (how == Publish::kDurable) {
    error = rename_no_replace(target.c_str());
  } else if (::renameat(dir, name_.c_str(), dir, target.c_str()) != 0) {
    error = errno;
  }
  if (error != 0) return storage_errno(error, doing);
  published_ = true;
  // Some network file systems report a failed write at close only.
  if (::close(fd_.release()) != 0) return storage_errno(errno, doing);
  if (how == Publish::kCached) return {};
  VZV_TRY(dir_->sync_parent(target));
  pass_crash_point_of(name, CrashPoint::kPackPublished, CrashPoint::kSegmentPublished);
  return {};
}

Status NewFile::publish(std::string_view name) { return publish_as(name, Publish::kDurable); }

Status NewFile::publish_over(std::string_view name) { return publish_as(name, Publish::kDurableOver); }

Status NewFile::publish_cached(std::string_view name) { return publish_as(name, Publish::kCached); }

}  // namespace vzv
