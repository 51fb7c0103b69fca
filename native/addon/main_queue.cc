#include "addon/main_queue.h"

namespace vzv::addon {

namespace {

// The environment owns this; the queue itself lives as long as anybody knows it.
struct Environment {
  std::shared_ptr<MainQueue> queue;
};

// The environment never frees it: its hook (below) and late threads may outlive any moment at which that could be.
void keep(Napi::Env, Environment*) {}

}  // namespace

void MainQueue::create(Napi::Env env) {
  auto queue = std::make_shared<MainQueue>();
  queue->function_ = Function::New(env, "vzvault", /*maxQueueSize=*/0, /*initialThreadCount=*/1, queue.get());
  queue->function_.Unref(env);
  queue->is_open_ = true;
  // Hooks run in reverse order, so this one runs before the function's own, after which it must not be called.
  env.AddCleanupHook(
      [](MainQueue* dying) {
        std::lock_guard lock(dying->mutex_);
        dying->is_open_ = false;
      },
      queue.get());
  env.SetInstanceData<Environment, keep>(new Environment{std::move(queue)});
}

std::shared_ptr<MainQueue> MainQueue::of(Napi::Env env) { return env.GetInstanceData<Environment>()->queue; }

void MainQueue::push(AnyTask* task) {
  std::lock_guard lock(mutex_);
  // What a task holds (promises, references) cannot be freed without its environment: it ends with the process.
  if (is_open_) function_.NonBlockingCall(task);
}

void MainQueue::call(Napi::Env env, Napi::Function, MainQueue*, AnyTask* task) {
  if (env == nullptr) return;  // the environment is going; as above
  Napi::HandleScope scope(env);
  task->run(env);
  delete task;
}

void MainQueue::hold(Napi::Env env) {
  if (held_++ == 0) function_.Ref(env);
}

void MainQueue::release(Napi::Env env) {
  if (--held_ == 0) function_.Unref(env);
}

}  // namespace vzv::addon
