// A few threads that make kernel calls which may hang, for one owner that must not.
//
// The owner posts calls, waits for the descriptor, and collects what finished. State is shared with the threads, so
// that one that hangs in the kernel outlives the owner without harm and cleans up once the kernel lets it go.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>

#include "core/base/cancel.h"
#include "core/base/file.h"

namespace vzv {

class CallThreads {
 public:
  using Call = std::function<void()>;      // runs on one of the threads; holds all that it uses
  using Finished = std::function<void()>;  // runs on the owner's thread

  CallThreads() = default;
  // Drops calls that have not begun. Waits for those under way, but not for ever.
  ~CallThreads();
  CallThreads(const CallThreads&) = delete;
  CallThreads& operator=(const CallThreads&) = delete;

  // What the threads and the owner share; a call reports through it.
  class Channel {
   public:
    Channel();
    // Wakes the owner. Thread-safe.
    void signal();
    // Hands `finished` to the owner and wakes it. Thread-safe.
    void finish(Finished finished);

   private:
    friend class CallThreads;
    void run();

    const UniqueFd event_;  // readable after signal()
    std::mutex mutex_;
    std::condition_variable wake_;
    std::condition_variable left_;
    std::deque<Call> calls_;         // GUARDED BY mutex_
    std::deque<Finished> finished_;  // GUARDED BY mutex_
    unsigned threads_ = 0;           // GUARDED BY mutex_
    bool stopped_ = false;           // GUARDED BY mutex_
  };

  // Starts the threads, which make the calls that were posted. E_INTERNAL where the system has none left. Called once.
  Status start(unsigned count);

  const std::shared_ptr<Channel>& channel() const { return channel_; }
  void post(Call call);
  std::deque<Finished> take_finished();
  // Waits until something was signalled (true), the time is over, or the token is cancelled (E_CANCELLED). A signal may
  // be older than what is looked for: look, and wait again.
  Result<bool> wait(int timeout_ms, const CancelToken& cancel);

 private:
  const std::shared_ptr<Channel> channel_ = std::make_shared<Channel>();
};

}  // namespace vzv
