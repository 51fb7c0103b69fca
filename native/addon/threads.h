// Threads for calls that may hang in the kernel: nobody ever joins one, so that a hung mount stalls what touches it and
// nothing else, not even the end of the process.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>

namespace vzv::addon {

using Work = std::function<void()>;

// Runs `work` on a new detached thread, with all signals blocked. `name` shows in ps and gdb (at most 15 characters).
// False where the system has no thread left.
bool start_thread(const char* name, Work work);

// A few threads of their own for one directory, started as they are needed. Thread-safe.
class ThreadGroup {
 public:
  // At most `threads` calls run at once, at most `waiting` wait.
  ThreadGroup(const char* name, std::size_t threads, std::size_t waiting);
  // Closes. Waits for nothing.
  ~ThreadGroup();

  enum class Accepted { kYes, kFull, kClosed };
  // Never blocks.
  Accepted run(Work work);
  // Takes nothing more. What was accepted is still run, then the threads end. Repeatable.
  void close();

 private:
  struct Shared {
    std::mutex mutex;
    std::condition_variable changed;
    std::deque<Work> waiting;
    std::size_t threads = 0;
    std::size_t unfinished = 0;  // waiting and running
    bool is_closed = false;
  };
  static void serve(const std::shared_ptr<Shared>& shared);

  const char* const name_;
  const std::size_t max_threads_;
  const std::size_t max_waiting_;
  // Outlives the group as long as a thread hangs.
  const std::shared_ptr<Shared> shared_ = std::make_shared<Shared>();
};

}  // namespace vzv::addon
