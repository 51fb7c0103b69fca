// SocketServer and SocketConnection for JavaScript: callbacks on its thread, in order, and promises for what is sent.
#include "addon/async.h"
#include "addon/convert.h"
#include "addon/exports.h"
#include "addon/limits.h"
#include "addon/socket_server.h"

namespace vzv::addon {

namespace {

// What may only be freed on the JavaScript thread, shared by threads that may be the last to know it.
template <typename T>
std::shared_ptr<T> owned_by_main(std::shared_ptr<MainQueue> queue, T value) {
  return std::shared_ptr<T>(new T(std::move(value)), [queue = std::move(queue)](T* dropped) {
    queue->post([dropped](Napi::Env) { delete dropped; });
  });
}

// A connection as JavaScript holds it. One that is dropped before it was started is closed; one that was started is
// kept by its handlers.
struct BoundConnection {
  explicit BoundConnection(std::shared_ptr<SocketConnection> given) : connection(std::move(given)) {}
  ~BoundConnection() { connection->close(); }
  const std::shared_ptr<SocketConnection> connection;
};

struct Handlers {
  Napi::FunctionReference on_data;
  Napi::FunctionReference on_close;
  Napi::Reference<Napi::Value> handle;
};

struct BoundServer {
  explicit BoundServer(std::shared_ptr<SocketServer> given) : server(std::move(given)) {}
  ~BoundServer() { server->close(); }
  const std::shared_ptr<SocketServer> server;
  bool is_held = true;  // keeps Node running until it is closed; JavaScript thread only
};

Napi::Value listen(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  std::string path = text_argument(info, 0);
  Napi::Function on_connection = function_argument(info, 1);
  if (env.IsExceptionPending()) return {};
  auto queue = MainQueue::of(env);
  auto callback = owned_by_main(queue, Napi::Persistent(on_connection));
  auto accepted = [queue, callback](std::shared_ptr<SocketConnection> connection) {
    queue->post([callback, connection = std::move(connection)](Napi::Env inner) {
      Napi::Object peer = Napi::Object::New(inner);
      peer.Set("pid", Napi::Number::New(inner, static_cast<double>(connection->peer().pid)));
      peer.Set("uid", Napi::Number::New(inner, static_cast<double>(connection->peer().uid)));
      peer.Set("gid", Napi::Number::New(inner, static_cast<double>(connection->peer().gid)));
      callback->Call({AnyHandle::make(inner, std::make_shared<BoundConnection>(connection)), peer});
    });
  };
  return run_on_thread(
      env, "vzv-listen", [path, accepted] { return SocketServer::listen(path, accepted); },
      [queue](Napi::Env inner, std::shared_ptr<SocketServer>&& server) -> Napi::Value {
        queue->hold(inner);
        return AnyHandle::make(inner, std::make_shared<BoundServer>(std::move(server)));
      });
}

Napi::Value close_server(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  auto bound = AnyHandle::argument<BoundServer>(info, 0);
  if (!bound) return {};
  if (std::exchange(bound->is_held, false)) MainQueue::of(env)->release(env);
  return run_on_thread(env, "vzv-listen", [server = bound->server] {
    server->close();
    return Status();
  });
}

// The descriptors become JavaScript's numbers; JavaScript closes them.
Napi::Array to_numbers(Napi::Env env, std::vector<UniqueFd>& fds) {
  Napi::Array numbers = Napi::Array::New(env, fds.size());
  std::uint32_t index = 0;
  for (UniqueFd& fd : fds) numbers.Set(index++, Napi::Number::New(env, fd.release()));
  return numbers;
}

void start(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  auto bound = AnyHandle::argument<BoundConnection>(info, 0);
  Napi::Function on_data = function_argument(info, 1);
  Napi::Function on_close = function_argument(info, 2);
  if (env.IsExceptionPending()) return;
  auto queue = MainQueue::of(env);
  auto handlers = owned_by_main(queue, Handlers{Napi::Persistent(on_data), Napi::Persistent(on_close),
                                                Napi::Reference<Napi::Value>::New(info[0], 1)});
  // Weak, since the connection keeps these functions.
  std::weak_ptr<SocketConnection> weak = bound->connection;
  queue->hold(env);
  bound->connection->start({
      .received =
          [queue, handlers, weak](Bytes bytes, std::vector<UniqueFd> fds) {
            queue->post([handlers, weak, bytes = std::move(bytes), fds = std::move(fds)](Napi::Env inner) mutable {
              handlers->on_data.Call({to_js(inner, bytes), to_numbers(inner, fds)});
              if (auto connection = weak.lock()) connection->handled(bytes.size());
            });
          },
      .closed =
          [queue, handlers](std::optional<std::string> error) {
            queue->post([queue, handlers, error = std::move(error)](Napi::Env inner) {
              queue->release(inner);
              Napi::Value told = inner.Null();
              if (error) told = Napi::String::New(inner, *error);
              handlers->on_close.Call({told});
            });
          },
  });
}

Napi::Value send(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  auto bound = AnyHandle::argument<BoundConnection>(info, 0);
  const ByteSpan bytes = bytes_argument(info, 1);
  if (env.IsExceptionPending()) return {};
  if (!info[2].IsArray()) {
    Napi::TypeError::New(env, "descriptors are not an array").ThrowAsJavaScriptException();
    return {};
  }
  Napi::Array numbers = info[2].As<Napi::Array>();
  if (numbers.Length() > limits::kDescriptors || (numbers.Length() > 0 && bytes.empty())) {
    return throw_status(env, Status(Code::E_ARGUMENT_INVALID, "descriptors need bytes to go with, and are at most " +
                                                                  std::to_string(limits::kDescriptors)));
  }
  std::vector<UniqueFd> fds;
  for (std::uint32_t i = 0; i < numbers.Length(); ++i) {
    Result<UniqueFd> copy = duplicate_fd(numbers.Get(i).ToNumber().Int32Value());
    if (!copy.ok()) return throw_status(env, copy.status());
    fds.push_back(std::move(copy).value());
  }
  Settler settler(env);
  bound->connection->send(Bytes(bytes.begin(), bytes.end()), std::move(fds),
                          [settler](Status status) { settle(settler, std::move(status)); });
  return settler.promise();
}

void set_paused(const Napi::CallbackInfo& info) {
  auto bound = AnyHandle::argument<BoundConnection>(info, 0);
  const bool is_paused = flag_argument(info, 1);
  if (!info.Env().IsExceptionPending()) bound->connection->set_paused(is_paused);
}

void close_connection(const Napi::CallbackInfo& info) {
  auto bound = AnyHandle::argument<BoundConnection>(info, 0);
  if (bound) bound->connection->close();
}

}  // namespace

void export_sockets(Napi::Env env, Napi::Object exports) {
  exports.Set("socketListen", Napi::Function::New<listen>(env));
  exports.Set("socketServerClose", Napi::Function::New<close_server>(env));
  exports.Set("socketStart", Napi::Function::New<start>(env));
  exports.Set("socketSend", Napi::Function::New<send>(env));
  exports.Set("socketSetPaused", Napi::Function::New<set_paused>(env));
  exports.Set("socketClose", Napi::Function::New<close_connection>(env));
}

}  // namespace vzv::addon
