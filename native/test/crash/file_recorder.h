// What the store asks of the file system below one directory: written down, and made to fail where a test wants it.
//
// It stands between the program and the C library: the linker's --wrap turns every call of openat, mkdirat, write,
// fsync, renameat, renameat2, linkat, unlinkat and close in this test program into one that comes here first
// (CMakeLists.txt). So the objects under test are the ones that are shipped, byte for byte, and what is seen is the
// system calls in their real order, also within a function. An interface in product code would have cost a layer there
// and would have shown only what passes through it.
//
// One recorder at a time. Thread-safe.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "core/base/id.h"

namespace vzv::test {

enum class FileCall {
  kCreate,
  kMakeDirectory,
  kWrite,
  kSyncFile,
  kSyncDirectory,
  kRename,  // replaces what has the name
  kLink,
  kUnlink,
  kRemoveDirectory,
  kClose,
};

// One that succeeded, or did its work before it was made to fail.
struct FileEvent {
  FileCall call;
  std::string name{};      // below the directory; empty is itself. For writes and syncs of files: the name at creation
  std::string to{};        // kRename and kLink: the new name
  std::uint64_t file = 0;  // which file; for kCreate, kWrite, kSyncFile and kClose
  Bytes bytes{};           // kWrite: appended
};

// What becomes of the n-th call.
struct Failure {
  std::uint64_t call_number;  // from 0
  int error;
  enum class How {
    kRefused,   // nothing is done
    kDone,      // it is done all the same, as when a server's answer is lost; a write is not
    kTornWrite  // half of a write is done; the next write fails. Other calls are refused
  } how;
};

// What a program with a mistake in it would have done.
struct Mistake {
  // Such syncs are left out. By the call and the event's name.
  std::function<bool(const FileEvent&)> without_sync{};
  // Files are synced only after they have got their name.
  bool sync_after_rename = false;
};

class FileRecorder {
 public:
  // REQUIRES: `root` is a directory, without symbolic links in its path.
  explicit FileRecorder(std::string root, Mistake mistake = {});
  ~FileRecorder();
  FileRecorder(const FileRecorder&) = delete;
  FileRecorder& operator=(const FileRecorder&) = delete;

  void fail(Failure failure);
  std::size_t size() const;
  // How many calls came that can fail: what Failure::call_number counts.
  std::uint64_t calls() const;
  std::vector<FileEvent> events() const;
  // The call that was made to fail; nothing while none was.
  std::optional<FileEvent> failed() const;

  // For the wrapped calls. -1 with errno as the real ones.
  int open(int directory, const char* name, int flags, unsigned mode);
  long write(int fd, const void* bytes, std::size_t length);
  int sync(int fd);
  int rename(int from_directory, const char* from, int to_directory, const char* to, unsigned flags);
  int link(int from_directory, const char* from, int to_directory, const char* to, int flags);
  int unlink(int directory, const char* name, int flags);
  int make_directory(int directory, const char* name, unsigned mode);
  int close(int fd);

 private:
  struct OpenFile {
    std::uint64_t file;
    std::string name;
  };
  // The name below the root; nothing for what lies elsewhere.
  std::optional<std::string> name_of(int directory, const char* name) const;
  // Makes the call, or not, and keeps the event.
  int run(FileEvent event, const std::function<int()>& call);
  void keep(FileEvent event);

  const std::string root_;
  const Mistake mistake_;
  mutable std::mutex mutex_;
  std::optional<Failure> failure_;
  std::optional<FileEvent> failed_;
  bool torn_ = false;
  std::uint64_t calls_ = 0;
  std::uint64_t next_file_ = 1;
  std::map<int, OpenFile> open_;
  std::vector<FileEvent> held_back_;
  std::vector<FileEvent> events_;
};

// While one exists, fsync() of this program does nothing: for building and checking thousands of states.
class NoSync {
 public:
  NoSync();
  ~NoSync();
  NoSync(const NoSync&) = delete;
  NoSync& operator=(const NoSync&) = delete;
};

}  // namespace vzv::test
