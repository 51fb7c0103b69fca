// Threads that may not come to be: the system bounds how many there are (RLIMIT_NPROC, a unit's TasksMax, memory), and
// std::thread throws where one of these is met.
#pragma once

#include <thread>
#include <utility>
#include <vector>

#include "core/base/guarded.h"
#include "core/base/status.h"

namespace vzv {

// A thread that runs `function`, which must not throw: guarded() sees to that. E_INTERNAL where the system has none
// left. Whoever gets it joins or detaches it.
template <typename Function>
Result<std::thread> start_thread(Function function) {
  return guarded([&]() -> Result<std::thread> { return std::thread(std::move(function)); });
}

// The threads of one job. Its owner has told them to end before it joins or goes. Not thread-safe.
class Threads {
 public:
  Threads() = default;
  ~Threads() { join(); }
  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;

  // Starts so many threads, each of which runs `function`. E_INTERNAL where the system has not as many left: those that
  // were started run all the same.
  template <typename Function>
  Status start(unsigned count, const Function& function) {
    return guarded([&]() -> Status {
      threads_.reserve(threads_.size() + count);
      for (unsigned i = 0; i < count; ++i) threads_.emplace_back(function);
      return {};
    });
  }

  std::size_t size() const { return threads_.size(); }

  // Waits until all have ended. Repeatable.
  void join() {
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }

 private:
  std::vector<std::thread> threads_;
};

}  // namespace vzv
