#include "addon/threads.h"

#include <pthread.h>
#include <signal.h>

#include <system_error>
#include <thread>
#include <utility>

namespace vzv::addon {

bool start_thread(const char* name, Work work) {
  // Signals are the JavaScript thread's business; here they would only interrupt system calls.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  bool started = true;
  try {
    std::thread([name, work = std::move(work)] {
      pthread_setname_np(pthread_self(), name);
      work();
    }).detach();
  } catch (const std::system_error&) {
    started = false;
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return started;
}

ThreadGroup::ThreadGroup(const char* name, std::size_t threads, std::size_t waiting)
    : name_(name), max_threads_(threads), max_waiting_(waiting) {}

ThreadGroup::~ThreadGroup() { close(); }

ThreadGroup::Accepted ThreadGroup::run(Work work) {
  std::unique_lock lock(shared_->mutex);
  if (shared_->is_closed) return Accepted::kClosed;
  if (shared_->unfinished >= max_threads_ + max_waiting_) return Accepted::kFull;
  if (shared_->threads < max_threads_ && shared_->unfinished >= shared_->threads) {
    ++shared_->threads;
    if (!start_thread(name_, [shared = shared_] { serve(shared); })) --shared_->threads;
  }
  if (shared_->threads == 0) return Accepted::kFull;
  ++shared_->unfinished;
  shared_->waiting.push_back(std::move(work));
  shared_->changed.notify_one();
  return Accepted::kYes;
}

void ThreadGroup::close() {
  std::lock_guard lock(shared_->mutex);
  shared_->is_closed = true;
  shared_->changed.notify_all();
}

void ThreadGroup::serve(const std::shared_ptr<Shared>& shared) {
  std::unique_lock lock(shared->mutex);
  for (;;) {
    shared->changed.wait(lock, [&] { return !shared->waiting.empty() || shared->is_closed; });
    if (shared->waiting.empty()) break;
    Work work = std::move(shared->waiting.front());
    shared->waiting.pop_front();
    lock.unlock();
    work();
    work = nullptr;
    lock.lock();
    --shared->unfinished;
  }
  --shared->threads;
}

}  // namespace vzv::addon
