#include "addon/async.h"

namespace vzv::addon {

Settler::Settler(Napi::Env env)
    : deferred_(Napi::Promise::Deferred::New(env)), promise_(deferred_.Promise()), queue_(MainQueue::of(env)) {
  queue_->hold(env);
}

void Settler::reject(Status status) const {
  queue_->post([deferred = deferred_, queue = queue_, status = std::move(status)](Napi::Env env) {
    queue->release(env);
    deferred.Reject(to_error(env, status).Value());
  });
}

}  // namespace vzv::addon
