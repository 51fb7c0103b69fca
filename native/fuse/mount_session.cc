#include "fuse/mount_session.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <climits>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>

#include "core/base/bytes.h"
#include "core/base/limits.h"
#include "core/base/threads.h"

namespace vzv::fuse {
namespace {

// Interrupts a worker's read of the FUSE device; its handler does nothing.
constexpr int kWakeSignal = SIGUSR2;
// A worker that does not end in this time hangs in the storage.
constexpr std::chrono::seconds kStopWithin{3};
constexpr std::chrono::milliseconds kWakeEvery{10};

sigset_t served_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGUSR1}) sigaddset(&set, signal);
  return set;
}

Status mount_failed(const std::string& mount_point, const std::string& why) {
  return Status(Code::E_MOUNT_FAILED, "mounting on " + mount_point + ": " + why);
}

// libfuse reports why a call failed only through its log. While a mount is being made the last line is kept here for
// the error; afterwards lines go to the log.
std::mutex library_mutex;
std::string library_message;  // guarded by library_mutex
Log* library_log = nullptr;   // guarded by library_mutex

void take_library_message(fuse_log_level level, const char* format, va_list arguments) {
  if (level > FUSE_LOG_WARNING) return;
  char text[512];
  std::vsnprintf(text, sizeof text, format, arguments);
  std::string message(text);
  while (!message.empty() && message.back() == '\n') message.pop_back();
  const std::lock_guard lock(library_mutex);
  if (library_log != nullptr) {
    library_log->info("libfuse: " + message);
  } else {
    library_message = std::move(message);
  }
}

std::string library_reason() {
  const std::lock_guard lock(library_mutex);
  return library_message.empty() ? "refused; the line before this one says why" : library_message;
}

void set_library_log(Log* log) {
  const std::lock_guard lock(library_mutex);
  library_log = log;
}

// The real path of an empty directory.
Result<std::string> check_mount_point(const std::string& mount_point) {
  char* resolved = realpath(mount_point.c_str(), nullptr);
  if (resolved == nullptr) {
    if (errno == ENOTCONN) {
      return mount_failed(mount_point, "a mount whose process is gone is in the way; unmount it with umount -l");
    }
    return mount_failed(mount_point, errno_text(errno));
  }
  std::string path(resolved);
  std::free(resolved);
  DIR* directory = opendir(path.c_str());
  if (directory == nullptr) {
    if (errno == ENOTCONN) {
      return mount_failed(path, "a mount whose process is gone is in the way; unmount it with umount -l");
    }
    return mount_failed(path, errno_text(errno));
  }
  bool empty = true;
  while (const dirent* entry = readdir(directory)) {
    const std::string_view name = entry->d_name;
    empty = empty && (name == "." || name == "..");
  }
  closedir(directory);
  if (!empty) return mount_failed(path, "the directory is not empty");
  return path;
}

}  // namespace

void MountSession::prepare_signals() {
  const sigset_t set = served_signals();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  struct sigaction nothing {};
  nothing.sa_handler = [](int) {};  // no SA_RESTART: the read that it interrupts shall return
  sigaction(kWakeSignal, &nothing, nullptr);
  // A log that nobody reads any more must not end a restore.
  struct sigaction ignore {};
  ignore.sa_handler = SIG_IGN;
  sigaction(SIGPIPE, &ignore, nullptr);
}

MountSession::MountSession(fuse_session* session, std::string mount_point, Log& log)
    : session_(session),
      mount_point_(std::move(mount_point)),
      log_(log),
      wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  const sigset_t set = served_signals();
  signals_.reset(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
}

Result<std::unique_ptr<MountSession>> MountSession::mount(FileSystem& file_system, const std::string& mount_point,
                                                          bool allow_other, Log& log) {
  const Result<std::string> path = check_mount_point(mount_point);
  if (!path.ok()) return path.status();
  fuse_set_log_func(take_library_message);

  std::string options = "ro,nodev,nosuid,default_permissions,fsname=vzvault,subtype=vzvault,max_read=" +
                        std::to_string(limits::kMountReadMaxBytes);
  if (allow_other) options += ",allow_other";
  char name[] = "vzvault-fuse";
  char flag[] = "-o";
  char* argv[] = {name, flag, options.data(), nullptr};
  fuse_args arguments = FUSE_ARGS_INIT(3, argv);
  fuse_session* session =
      fuse_session_new(&arguments, &FileSystem::operations(), sizeof(fuse_lowlevel_ops), &file_system);
  fuse_opt_free_args(&arguments);
  if (session == nullptr) return mount_failed(*path, library_reason());
  if (fuse_session_mount(session, path->c_str()) != 0) {
    fuse_session_destroy(session);
    return mount_failed(*path, library_reason());
  }
  set_library_log(&log);
  std::unique_ptr<MountSession> mounted(new MountSession(session, *path, log));
  if (!mounted->signals_.valid() || !mounted->wake_.valid()) {
    return mount_failed(*path, "no descriptors left for signals");
  }
  return mounted;
}

MountSession::~MountSession() {
  // Closes the connection, so that whoever still reads is told, and unmounts lazily; does nothing where the mount is
  // gone.
  fuse_session_unmount(session_);
  fuse_session_destroy(session_);
  set_library_log(nullptr);
}

Result<Ended> MountSession::serve(unsigned threads, const ServeEvents& events) {
  if (const Status started = start_workers(threads); !started.ok()) {
    if (workers_.empty()) return started;
    log_.error(started);
  }
  const Status waited = wait(events);
  if (!stop_workers()) {
    for (std::thread& worker : workers_) worker.detach();
    fuse_session_unmount(session_);
    return Ended::kStuck;
  }
  for (std::thread& worker : workers_) worker.join();
  if (!waited.ok()) return waited;
  if (const int error = error_.load()) return mount_failed(mount_point_, "the connection broke: " + errno_text(error));
  return Ended::kUnmounted;
}

// Fewer than all serve the mount as well, only slower.
Status MountSession::start_workers(unsigned threads) {
  workers_.reserve(threads);
  for (unsigned i = 0; i < threads; ++i) {
    // Counted before it can end.
    const std::lock_guard lock(mutex_);
    finished_.push_back(false);
    Result<std::thread> worker = start_thread([this, i] {
      work();
      {
        const std::lock_guard ended(mutex_);
        finished_[i] = true;
        --running_;
      }
      worker_ended_.notify_all();
      eventfd_write(wake_.get(), 1);
    });
    if (!worker.ok()) return worker.status();
    workers_.push_back(std::move(worker).value());
    ++running_;
  }
  return {};
}

void MountSession::work() {
  fuse_buf buffer{};
  while (fuse_session_exited(session_) == 0) {
    const int received = fuse_session_receive_buf(session_, &buffer);
    if (received == -EINTR || received == -EAGAIN) continue;
    if (received <= 0) {
      if (received < 0) {
        int none = 0;
        error_.compare_exchange_strong(none, -received);
      }
      break;
    }
    fuse_session_process_buf(session_, &buffer);
    // The first request is the kernel's INIT; from its answer on all others come.
    if (!answered_.load(std::memory_order_relaxed) && !answered_.exchange(true)) eventfd_write(wake_.get(), 1);
  }
  std::free(buffer.mem);
}

// Until there is a reason to stop.
Status MountSession::wait(const ServeEvents& events) {
  bool ready = false;
  for (;;) {
    pollfd descriptors[] = {{.fd = signals_.get(), .events = POLLIN, .revents = 0},
                            {.fd = wake_.get(), .events = POLLIN, .revents = 0}};
    if (poll(descriptors, 2, -1) < 0 && errno != EINTR) return mount_failed(mount_point_, errno_text(errno));

    eventfd_t ignored;
    eventfd_read(wake_.get(), &ignored);
    {
      const std::lock_guard lock(mutex_);
      if (running_ < workers_.size()) return Status();
    }
    if (!ready && answered_.load()) {
      ready = true;
      enlarge_read_ahead();
      if (events.ready) events.ready();
    }
    signalfd_siginfo signal;
    while (read(signals_.get(), &signal, sizeof signal) == sizeof signal) {
      if (signal.ssi_signo == SIGTERM || signal.ssi_signo == SIGINT) return Status();
      if (signal.ssi_signo == SIGUSR1 && events.statistics) events.statistics();
    }
  }
}

// A signal sent just before a worker blocks is lost, so it is sent until the worker has ended. False: one hangs.
bool MountSession::stop_workers() {
  fuse_session_exit(session_);
  const auto deadline = std::chrono::steady_clock::now() + kStopWithin;
  std::unique_lock lock(mutex_);
  while (running_ > 0) {
    if (std::chrono::steady_clock::now() >= deadline) return false;
    for (std::size_t i = 0; i < workers_.size(); ++i) {
      if (!finished_[i]) pthread_kill(workers_[i].native_handle(), kWakeSignal);
    }
    worker_ended_.wait_for(lock, kWakeEvery);
  }
  return true;
}

// The kernel asks for 128 KiB at a time unless the mount's device says otherwise; only root may, and slower is no
// error.
void MountSession::enlarge_read_ahead() {
  struct statx status {};
  // Without asking the file system, that is, ourselves.
  if (statx(AT_FDCWD, mount_point_.c_str(), AT_STATX_DONT_SYNC, STATX_TYPE, &status) != 0) return;
  const std::string path = "/sys/class/bdi/" + std::to_string(status.stx_dev_major) + ":" +
                           std::to_string(status.stx_dev_minor) + "/read_ahead_kb";
  const UniqueFd file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!file.valid()) return;
  const std::string value = std::to_string(limits::kMountReadMaxBytes / limits::kKiB);
  write_all(file.get(), as_bytes(value));
}

}  // namespace vzv::fuse
