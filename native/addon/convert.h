// Between the core's values and JavaScript's: plain data in both directions, and handles for what stays native.
//
// JavaScript (src/engine) checks ranges and kinds before it calls; here only that the types are what they must be.
// REQUIRES everywhere: the JavaScript thread.
#pragma once

#include <napi.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "addon/threads.h"
#include "core/base/file.h"
#include "core/base/id.h"
#include "core/base/status.h"

namespace vzv::addon {

// An Error whose `code` is the status's. REQUIRES: !status.ok()
Napi::Error to_error(Napi::Env env, const Status& status);
// Throws it.
Napi::Value throw_status(Napi::Env env, const Status& status);

Napi::Value to_js(Napi::Env env, const Bytes& bytes);
// In hex.
Napi::Value to_js(Napi::Env env, const std::vector<Id>& ids);
inline Napi::Value to_js(Napi::Env env, bool value) { return Napi::Boolean::New(env, value); }
inline Napi::Value to_js(Napi::Env env, std::uint64_t value) {
  return Napi::Number::New(env, static_cast<double>(value));
}

// Arguments. A wrong type throws a TypeError and gives an empty value; the caller returns when the environment has an
// exception.
std::string text_argument(const Napi::CallbackInfo& info, std::size_t index);
std::uint64_t number_argument(const Napi::CallbackInfo& info, std::size_t index);
bool flag_argument(const Napi::CallbackInfo& info, std::size_t index);
// The bytes stay JavaScript's: copy what outlives the call.
ByteSpan bytes_argument(const Napi::CallbackInfo& info, std::size_t index);
// An array of ids in hex; one that is none throws E_ARGUMENT_INVALID.
std::vector<Id> ids_argument(const Napi::CallbackInfo& info, std::size_t index);
Napi::Function function_argument(const Napi::CallbackInfo& info, std::size_t index);

// A duplicate of `fd` that is closed on exec; E_ARGUMENT_INVALID where it is not open.
Result<UniqueFd> duplicate_fd(int fd);

// A handle is an External that knows what kind of object it holds. One that JavaScript drops lets its object go, on a
// thread of its own: closing a file of a mount that hangs would hang the JavaScript thread.
class AnyHandle {
 public:
  template <typename T>
  static Napi::Value make(Napi::Env env, std::shared_ptr<T> object) {
    auto* handle = new AnyHandle{&kind_of<T>, std::move(object)};
    return Napi::External<AnyHandle>::New(env, handle, [](Napi::Env, AnyHandle* dropped) {
      start_thread("vzv-close", [object = std::move(dropped->object_)]() mutable { object.reset(); });
      delete dropped;
    });
  }

  // Throws a TypeError and answers nothing where the argument is no handle of a T.
  template <typename T>
  static std::shared_ptr<T> argument(const Napi::CallbackInfo& info, std::size_t index) {
    if (info[index].IsExternal()) {
      AnyHandle* handle = info[index].As<Napi::External<AnyHandle>>().Data();
      if (handle->kind_ == &kind_of<T>) return std::static_pointer_cast<T>(handle->object_);
    }
    Napi::TypeError::New(info.Env(), "a handle of another kind was expected").ThrowAsJavaScriptException();
    return nullptr;
  }

 private:
  // Its address tells the kinds apart.
  template <typename T>
  static inline const char kind_of = 0;

  AnyHandle(const char* kind, std::shared_ptr<void> object) : kind_(kind), object_(std::move(object)) {}

  const char* const kind_;
  std::shared_ptr<void> object_;
};

}  // namespace vzv::addon
