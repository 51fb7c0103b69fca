// Sparse-file and copy calls, each on a thread of its own: any of them may hang with its file's mount.
#include <unistd.h>

#include "addon/async.h"
#include "addon/convert.h"
#include "addon/exports.h"
#include "core/base/sparse_file.h"

namespace vzv::addon {

namespace {

constexpr const char* kThreadName = "vzv-sparse";

// A duplicate, so that the call goes on with this file whatever JavaScript does with the number meanwhile.
std::shared_ptr<UniqueFd> fd_argument(const Napi::CallbackInfo& info, std::size_t index) {
  const std::uint64_t number = number_argument(info, index);
  if (info.Env().IsExceptionPending()) return nullptr;
  Result<UniqueFd> copy = duplicate_fd(static_cast<int>(number));
  if (copy.ok()) return std::make_shared<UniqueFd>(std::move(copy).value());
  throw_status(info.Env(), copy.status());
  return nullptr;
}

// deallocate and allocate differ in the call only.
template <Status (*kCall)(int, std::uint64_t, std::uint64_t)>
Napi::Value change_range(const Napi::CallbackInfo& info) {
  auto fd = fd_argument(info, 0);
  const std::uint64_t offset = number_argument(info, 1);
  const std::uint64_t length = number_argument(info, 2);
  if (info.Env().IsExceptionPending()) return {};
  return run_on_thread(info.Env(), kThreadName, [fd, offset, length] { return kCall(fd->get(), offset, length); });
}

Napi::Value copy_between(const Napi::CallbackInfo& info) {
  auto from = fd_argument(info, 0);
  const std::uint64_t from_offset = number_argument(info, 1);
  auto to = fd_argument(info, 2);
  const std::uint64_t to_offset = number_argument(info, 3);
  const std::uint64_t length = number_argument(info, 4);
  if (info.Env().IsExceptionPending()) return {};
  return run_on_thread(
      info.Env(), kThreadName, [=] { return copy_range(from->get(), from_offset, to->get(), to_offset, length); },
      [](Napi::Env env, Copied&& copied) -> Napi::Value { return to_js(env, copied.bytes); });
}

Napi::Value clone_file(const Napi::CallbackInfo& info) {
  auto from = fd_argument(info, 0);
  auto to = fd_argument(info, 1);
  if (info.Env().IsExceptionPending()) return {};
  return run_on_thread(
      info.Env(), kThreadName, [from, to] { return clone(from->get(), to->get()); },
      [](Napi::Env env, bool is_cloned) -> Napi::Value { return to_js(env, is_cloned); });
}

const char* method_name(CopyMethod method) {
  switch (method) {
    case CopyMethod::kClone:
      return "clone";
    case CopyMethod::kCopyRange:
      return "copy-range";
    case CopyMethod::kReadWrite:
      return "read-write";
  }
  return "read-write";
}

Napi::Value copy_path(const Napi::CallbackInfo& info) {
  std::string from = text_argument(info, 0);
  std::string to = text_argument(info, 1);
  if (info.Env().IsExceptionPending()) return {};
  return run_on_thread(
      info.Env(), kThreadName, [from, to] { return copy_file(from, to); },
      [](Napi::Env env, Copied&& copied) -> Napi::Value {
        Napi::Object object = Napi::Object::New(env);
        object.Set("method", method_name(copied.method));
        object.Set("copiedBytes", to_js(env, copied.bytes));
        return object;
      });
}

// On a thread, since closing may wait for a mount that hangs. Nobody waits for it; until then the number is not given
// out again.
void close_fd(const Napi::CallbackInfo& info) {
  const auto fd = static_cast<int>(number_argument(info, 0));
  if (info.Env().IsExceptionPending()) return;
  if (!start_thread("vzv-close", [fd] { close(fd); })) close(fd);
}

}  // namespace

void export_sparse(Napi::Env env, Napi::Object exports) {
  exports.Set("closeFd", Napi::Function::New<close_fd>(env));
  exports.Set("sparseDeallocate", Napi::Function::New<change_range<&deallocate>>(env));
  exports.Set("sparseAllocate", Napi::Function::New<change_range<&allocate>>(env));
  exports.Set("sparseCopyRange", Napi::Function::New<copy_between>(env));
  exports.Set("sparseClone", Napi::Function::New<clone_file>(env));
  exports.Set("sparseCopyFile", Napi::Function::New<copy_path>(env));
}

}  // namespace vzv::addon
