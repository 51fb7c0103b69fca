// The way from native threads to the JavaScript thread: tasks that run there one after the other, in the order of
// posting.
//
// One per environment, shared by everything in it, and kept by whoever may still post: posting after the environment
// has gone is harmless and does nothing. A thread that hangs in the kernel therefore never keeps Node from exiting.
#pragma once

#include <napi.h>

#include <memory>
#include <mutex>
#include <type_traits>
#include <utility>

namespace vzv::addon {

class MainQueue : public std::enable_shared_from_this<MainQueue> {
 public:
  // Makes the queue of this environment. Call once, when the addon is loaded.
  static void create(Napi::Env env);
  // REQUIRES: the JavaScript thread.
  static std::shared_ptr<MainQueue> of(Napi::Env env);

  // Has `task(Napi::Env)` called on the JavaScript thread, within a handle scope. From any thread.
  template <typename Task>
  void post(Task&& task) {
    push(new TaskOf<std::decay_t<Task>>(std::forward<Task>(task)));
  }

  // Node does not end by itself while anything is held. REQUIRES: the JavaScript thread.
  void hold(Napi::Env env);
  void release(Napi::Env env);

 private:
  struct AnyTask {
    virtual ~AnyTask() = default;
    virtual void run(Napi::Env env) = 0;
  };
  template <typename Task>
  struct TaskOf : AnyTask {
    explicit TaskOf(Task&& given) : task(std::move(given)) {}
    explicit TaskOf(const Task& given) : task(given) {}
    void run(Napi::Env env) override { task(env); }
    Task task;
  };

  static void call(Napi::Env env, Napi::Function, MainQueue*, AnyTask* task);
  using Function = Napi::TypedThreadSafeFunction<MainQueue, AnyTask, &MainQueue::call>;

  void push(AnyTask* task);

  std::mutex mutex_;
  bool is_open_ = false;  // guarded by mutex_
  Function function_;
  std::size_t held_ = 0;  // JavaScript thread only
};

}  // namespace vzv::addon
