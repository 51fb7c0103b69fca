// A directory on a (network) mount, by relative names: the only way in which the core touches a repository's files.
//
// Names are `/`-separated components; absolute ones, empty components, `.` and `..` are refused with
// E_ARGUMENT_INVALID. The directory is held open, so what is mounted over its path later does not divert a running
// backup into another file system. What is created appears whole and durable or not at all: it is written to
// tmp/<random> first (docs/format.md, The directory).
//
// Thread-safe, and every method is one or a few system calls in the calling thread; a mount that hangs hangs the
// caller.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "core/base/file.h"
#include "core/base/id.h"
#include "core/base/status.h"

namespace vzv {

enum class FileKind { kFile, kDirectory, kOther };

struct FileStatus {
  FileKind kind;
  std::uint64_t size_bytes;
  std::int64_t modified_ms;  // since 1970 UTC
};

struct DirectoryEntry {
  std::string name;
  FileKind kind;
};

// How a name is made that must not exist yet, atomically: exactly one of several callers wins.
enum class NoReplace {
  kRename,  // renameat2(RENAME_NOREPLACE)
  kLink,    // link(2)
  kNone,    // not at all: a look and a plain rename, between which another may come
};

struct Space {
  std::uint64_t total_bytes;
  std::uint64_t available_bytes;  // what an unprivileged writer could still store
  std::uint64_t used_bytes;
};

class NewFile;

class RepositoryDir : public std::enable_shared_from_this<RepositoryDir> {
 public:
  // E_PATH_MISSING where `path` is absent or no directory, E_PERMISSION.
  static Result<std::shared_ptr<RepositoryDir>> open(std::string path);

  // The same directory (also where something else lies under its path by now) for a session, whose id its unfinished
  // files begin with: tmp/<session>-<random>. REQUIRES: `session` is a name's component.
  Result<std::shared_ptr<RepositoryDir>> for_session(std::string session) const;

  const std::string& path() const { return path_; }

  // The whole file; nullopt where it is absent. E_ARGUMENT_INVALID where it is longer than max_bytes.
  Result<std::optional<Bytes>> read(std::string_view name, std::uint64_t max_bytes);
  // nullopt where it is absent. The empty name is the directory itself.
  Result<std::optional<FileStatus>> status(std::string_view name);
  // Sorted by name, without `.` and `..`; nullopt where the directory is absent. The empty name is the directory
  // itself.
  Result<std::optional<std::vector<DirectoryEntry>>> list(std::string_view name);
  // Makes the directory and those above it that are missing, durably. Success where it is there already.
  Status make_directories(std::string_view name);
  // Durable and atomic; E_NAME_TAKEN where the name exists. Makes missing parent directories. Where no_replace() is
  // kNone, of two callers at the same time both may succeed, the later one's bytes then being there.
  Status put_if_absent(std::string_view name, ByteSpan bytes);
  // Durable and atomic; overwrites. Makes missing parent directories.
  Status replace(std::string_view name, ByteSpan bytes);
  // Unlinks a file or an empty directory, durably. False where it was absent.
  Result<bool> remove(std::string_view name);
  // Gives a file another name, durably; false where it was absent. E_NAME_TAKEN where the new name exists (where
  // no_replace() is kNone, as far as a look beforehand tells). Makes missing parent directories.
  Result<bool> move(std::string_view from, std::string_view to);
  Result<Space> space();
  // What this file system can do, tried out with files in tmp/; asked once, a failure is not kept.
  Result<NoReplace> no_replace();
  // Not valid where the file is absent; any other failure is an error.
  Result<UniqueFd> open_read(std::string_view name);
  // Begins a file in tmp/.
  Result<std::unique_ptr<NewFile>> create();

  // True where the absolute `path` is a mount point, by /proc/self/mountinfo: asks the kernel's table, never the mount.
  // Trailing slashes do not matter; symbolic links are not followed.
  static Result<bool> is_mounted(std::string_view path);

 private:
  friend class NewFile;

  RepositoryDir(std::string path, UniqueFd fd, std::string session = {})
      : path_(std::move(path)), fd_(std::move(fd)), session_(std::move(session)) {}
  std::string full_name(std::string_view name) const;
  // fsync of the directory that holds `name`.
  Status sync_parent(const std::string& name);
  Status put(std::string_view name, ByteSpan bytes, bool overwrite);
  bool is_directory(const std::string& name) const;
  bool known_durable(const std::string& directory) const;
  Status make_durable(const std::string& directory);

  const std::string path_;
  const UniqueFd fd_;
  const std::string session_;  // empty: none
  std::mutex no_replace_mutex_;
  std::optional<NoReplace> no_replace_;  // GUARDED BY no_replace_mutex_
  mutable std::mutex durable_mutex_;
  // Directories whose own names were made durable by this process, as far as it remembers. GUARDED BY durable_mutex_
  std::unordered_set<std::string> durable_;
};

// A file that nobody sees until it is published. Written by one thread at a time. The destructor removes it unless it
// was published.
class NewFile {
 public:
  ~NewFile();
  NewFile(const NewFile&) = delete;
  NewFile& operator=(const NewFile&) = delete;

  Status append(ByteSpan bytes);
  std::uint64_t bytes_written() const { return bytes_written_; }

  // fsync, then gives the file its name, which must not exist (E_NAME_TAKEN; the file stays unpublished), then makes
  // the name durable. Makes missing parent directories. After success nothing more can be appended. Where the file
  // system has no atomic way (NoReplace::kNone), the name is looked at before.
  Status publish(std::string_view name);
  // As publish(), but takes the place of a file of that name.
  Status publish_over(std::string_view name);
  // As publish_over(), but neither the bytes nor the name are made durable: for a cache whose contents are verified
  // when they are used.
  Status publish_cached(std::string_view name);

 private:
  friend class RepositoryDir;
  NewFile(std::shared_ptr<RepositoryDir> dir, std::string name, UniqueFd fd)
      : dir_(std::move(dir)), name_(std::move(name)), fd_(std::move(fd)) {}
  enum class Publish { kDurable, kDurableOver, kCached };
  Status publish_as(std::string_view name, Publish how);
  // Moves the file to `name` without replacing. Answers 0 or an errno.
  int rename_no_replace(const char* name);

  const std::shared_ptr<RepositoryDir> dir_;
  const std::string name_;  // tmp/<random>, with its session before it
  UniqueFd fd_;
  std::uint64_t bytes_written_ = 0;
  bool published_ = false;
};

// E_ARGUMENT_INVALID unless `name` is one that RepositoryDir takes.
Status check_name(std::string_view name);

}  // namespace vzv
