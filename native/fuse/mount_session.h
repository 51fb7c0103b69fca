// One mount: made, served by a bounded number of threads until it is unmounted or the process is told to stop, and
// taken down.
//
// libfuse's own loops end by cancelling threads or by signal handlers that share globals; this one ends at one place,
// serve(). Threads: one thread mounts, serves and destroys. The FileSystem outlives the session. One session a process,
// since libfuse's log is global.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "core/base/file.h"
#include "core/base/status.h"
#include "fuse/file_system.h"
#include "fuse/log.h"

namespace vzv::fuse {

struct ServeEvents {
  std::function<void()> ready;       // the file system answers
  std::function<void()> statistics;  // SIGUSR1 came
};

enum class Ended {
  kUnmounted,  // by somebody else, or after a signal
  kStuck,      // told to stop, but a thread hangs in the storage: unmounted, and only the process's end is left
};

class MountSession {
 public:
  // Blocks SIGTERM, SIGINT, SIGHUP and SIGUSR1 in the calling thread, hence in all that it makes: serve() takes them.
  // Call before any other thread exists, and not before there is something to unmount: until then a signal simply ends
  // the process.
  static void prepare_signals();

  // E_MOUNT_FAILED: the mount point is missing, no directory, not empty or a dead mount, or the kernel or fusermount3
  // refuses.
  static Result<std::unique_ptr<MountSession>> mount(FileSystem& file_system, const std::string& mount_point,
                                                     bool allow_other, Log& log);
  ~MountSession();
  MountSession(const MountSession&) = delete;
  MountSession& operator=(const MountSession&) = delete;

  // Until the mount is gone or SIGTERM or SIGINT comes; then unmounts, lazily where it is busy (files that are still
  // open fail from then on). SIGHUP is ignored: a restore outlives the terminal. E_MOUNT_FAILED where the kernel ended
  // the connection with an error; E_INTERNAL where the system has no thread left.
  Result<Ended> serve(unsigned threads, const ServeEvents& events);

 private:
  MountSession(fuse_session* session, std::string mount_point, Log& log);
  Status start_workers(unsigned threads);
  void work();
  Status wait(const ServeEvents& events);
  bool stop_workers();
  void enlarge_read_ahead();

  fuse_session* session_;
  const std::string mount_point_;
  Log& log_;
  UniqueFd signals_;  // signalfd
  UniqueFd wake_;     // eventfd: `answered_` or `running_` changed

  std::atomic<bool> answered_{false};
  std::atomic<int> error_{0};  // errno of the first worker whose connection broke
  std::mutex mutex_;
  std::condition_variable worker_ended_;
  std::vector<bool> finished_;  // guarded by mutex_; of each worker
  std::size_t running_ = 0;     // guarded by mutex_
  std::vector<std::thread> workers_;
};

}  // namespace vzv::fuse
