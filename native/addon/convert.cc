#include "addon/convert.h"

#include <fcntl.h>

#include <cerrno>

namespace vzv::addon {

Napi::Error to_error(Napi::Env env, const Status& status) {
  Napi::Error error = Napi::Error::New(env, status.message());
  error.Set("code", Napi::String::New(env, std::string(code_name(status.code()))));
  return error;
}

Napi::Value throw_status(Napi::Env env, const Status& status) {
  to_error(env, status).ThrowAsJavaScriptException();
  return env.Undefined();
}

Napi::Value to_js(Napi::Env env, const Bytes& bytes) {
  return Napi::Buffer<std::uint8_t>::Copy(env, bytes.data(), bytes.size());
}

Napi::Value to_js(Napi::Env env, const std::vector<Id>& ids) {
  Napi::Array array = Napi::Array::New(env, ids.size());
  std::uint32_t n = 0;
  for (const Id& id : ids) array.Set(n++, id.hex());
  return array;
}

namespace {

void throw_type(const Napi::CallbackInfo& info, std::size_t index, const char* expected) {
  const std::string message = "argument " + std::to_string(index) + " is not " + expected;
  Napi::TypeError::New(info.Env(), message).ThrowAsJavaScriptException();
}

}  // namespace

std::string text_argument(const Napi::CallbackInfo& info, std::size_t index) {
  if (info[index].IsString()) return info[index].As<Napi::String>().Utf8Value();
  throw_type(info, index, "a string");
  return {};
}

std::uint64_t number_argument(const Napi::CallbackInfo& info, std::size_t index) {
  if (info[index].IsNumber()) {
    const double value = info[index].As<Napi::Number>().DoubleValue();
    // Above 2^53 a double skips integers.
    if (value >= 0 && value <= 9007199254740991.0) return static_cast<std::uint64_t>(value);
  }
  throw_type(info, index, "an integer from 0 to 2^53");
  return 0;
}

bool flag_argument(const Napi::CallbackInfo& info, std::size_t index) {
  if (info[index].IsBoolean()) return info[index].As<Napi::Boolean>().Value();
  throw_type(info, index, "a boolean");
  return false;
}

ByteSpan bytes_argument(const Napi::CallbackInfo& info, std::size_t index) {
  if (info[index].IsBuffer()) {
    auto buffer = info[index].As<Napi::Buffer<std::uint8_t>>();
    return {buffer.Data(), buffer.Length()};
  }
  throw_type(info, index, "a Buffer");
  return {};
}

std::vector<Id> ids_argument(const Napi::CallbackInfo& info, std::size_t index) {
  std::vector<Id> ids;
  if (!info[index].IsArray()) {
    throw_type(info, index, "an array");
    return ids;
  }
  const auto array = info[index].As<Napi::Array>();
  ids.reserve(array.Length());
  for (std::uint32_t n = 0; n < array.Length(); ++n) {
    const Napi::Value text = array.Get(n);
    const std::optional<Id> id =
        text.IsString() ? Id::from_hex(text.As<Napi::String>().Utf8Value()) : std::optional<Id>();
    if (!id) {
      throw_status(info.Env(), Status(Code::E_ARGUMENT_INVALID, "a list of ids holds what is none"));
      return {};
    }
    ids.push_back(*id);
  }
  return ids;
}

Napi::Function function_argument(const Napi::CallbackInfo& info, std::size_t index) {
  if (info[index].IsFunction()) return info[index].As<Napi::Function>();
  throw_type(info, index, "a function");
  return {};
}

Result<UniqueFd> duplicate_fd(int fd) {
  UniqueFd copy(fcntl(fd, F_DUPFD_CLOEXEC, 0));
  if (copy.valid()) return copy;
  return Status(Code::E_ARGUMENT_INVALID, "descriptor " + std::to_string(fd) + ": " + errno_text(errno));
}

}  // namespace vzv::addon
