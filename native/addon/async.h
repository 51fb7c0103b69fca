// Promises of work that native threads do: the one place where results and errors of the core become resolved and
// rejected.
//
//   return settle_later<Bytes>(env, [&](auto done) { group.run([done] { done(read_something()); }); return Status();
//   });
//
// `done` may be called from any thread, once. A promise keeps Node from ending by itself until it is settled.
#pragma once

#include <napi.h>

#include <functional>
#include <memory>
#include <type_traits>
#include <utility>

#include "addon/convert.h"
#include "addon/main_queue.h"
#include "addon/threads.h"
#include "core/base/guarded.h"
#include "core/base/status.h"

namespace vzv::addon {

// What work without a value answers.
struct Nothing {};
inline Result<Nothing> or_nothing(Status status) {
  if (status.ok()) return Nothing{};
  return status;
}

// A promise that any thread can settle, once; copies settle the same one.
class Settler {
 public:
  // REQUIRES: the JavaScript thread.
  explicit Settler(Napi::Env env);
  Napi::Value promise() const { return promise_; }

  // `make_value(Napi::Env)` is called on the JavaScript thread. From any thread.
  template <typename MakeValue>
  void resolve(MakeValue make_value) const {
    queue_->post([deferred = deferred_, queue = queue_, make_value = std::move(make_value)](Napi::Env env) mutable {
      queue->release(env);
      deferred.Resolve(make_value(env));
    });
  }
  void reject(Status status) const;

 private:
  Napi::Promise::Deferred deferred_;
  Napi::Value promise_;
  std::shared_ptr<MainQueue> queue_;
};

// Settles with a Result<T>; `to_value(Napi::Env, T&&)` makes the JavaScript value.
template <typename T, typename ToValue>
void settle(const Settler& settler, Result<T> result, ToValue to_value) {
  if (!result.ok()) return settler.reject(result.status());
  settler.resolve([value = std::move(result).value(), to_value](Napi::Env env) mutable -> Napi::Value {
    return to_value(env, std::move(value));
  });
}

inline void settle(const Settler& settler, Status status) {
  if (!status.ok()) return settler.reject(std::move(status));
  settler.resolve([](Napi::Env env) -> Napi::Value { return env.Undefined(); });
}

// Runs `work` (which answers a Result<T>) on a thread of its own and gives a promise of its value.
template <typename WorkOfResult, typename ToValue>
Napi::Value run_on_thread(Napi::Env env, const char* name, WorkOfResult work, ToValue to_value) {
  Settler settler(env);
  Napi::Value promise = settler.promise();
  const bool started = start_thread(name, [settler, work = std::move(work), to_value]() mutable {
    settle(settler, guarded([&] { return work(); }), to_value);
  });
  if (!started) settler.reject(Status(Code::E_INTERNAL, "the system has no thread left"));
  return promise;
}

// The same for work that answers a Status.
template <typename WorkOfStatus>
Napi::Value run_on_thread(Napi::Env env, const char* name, WorkOfStatus work) {
  return run_on_thread(
      env, name, [work = std::move(work)]() mutable { return or_nothing(work()); },
      [](Napi::Env inner, Nothing) -> Napi::Value { return inner.Undefined(); });
}

}  // namespace vzv::addon
