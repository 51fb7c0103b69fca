// RepositoryDirectory. A directory is opened by the first call that needs it, on one of its own threads,
// and held open then: whatever is mounted over its path later, a handle stays with the directory that it began with.
#include <climits>
#include <cstdlib>
#include <mutex>

#include "addon/async.h"
#include "addon/convert.h"
#include "addon/exports.h"
#include "addon/limits.h"
#include "core/base/guarded.h"
#include "core/store/repository_dir.h"

namespace vzv::addon {

namespace {

class Directory {
 public:
  explicit Directory(std::string path) : path_(std::move(path)) {}

  ThreadGroup& threads() { return threads_; }
  const std::string& path() const { return path_; }

  // Thread-safe; hangs as the mount does. A failure is not kept: the next call tries again.
  Result<std::shared_ptr<RepositoryDir>> opened() {
    {
      std::lock_guard lock(mutex_);
      if (dir_) return dir_;
    }
    Result<std::shared_ptr<RepositoryDir>> fresh = RepositoryDir::open(path_);
    if (!fresh.ok()) return fresh;
    std::lock_guard lock(mutex_);
    if (is_closed_) return fresh;
    if (!dir_) dir_ = *fresh;
    return dir_;
  }

  // Calls that were accepted still run; the directory is let go after the last of them.
  void close() {
    threads_.close();
    std::lock_guard lock(mutex_);
    is_closed_ = true;
    if (dir_) start_thread("vzv-close", [dir = std::move(dir_)]() mutable { dir.reset(); });
    dir_ = nullptr;
  }

 private:
  const std::string path_;
  ThreadGroup threads_{"vzv-directory", limits::kDirectoryThreads, limits::kDirectoryWaiting};
  std::mutex mutex_;
  std::shared_ptr<RepositoryDir> dir_;  // guarded by mutex_
  bool is_closed_ = false;              // guarded by mutex_
};

using DirectoryPtr = std::shared_ptr<Directory>;

// Runs `work` (answers a Result<T>) on a thread of the directory.
template <typename WorkOfResult, typename ToValue>
Napi::Value run_in(Napi::Env env, const DirectoryPtr& directory, WorkOfResult work, ToValue to_value) {
  Settler settler(env);
  // The thread that runs this keeps the directory, so that its last reference never goes on the JavaScript thread.
  const auto accepted = directory->threads().run(
      [settler, directory, work = std::move(work), to_value]() mutable { settle(settler, guarded(work), to_value); });
  if (accepted == ThreadGroup::Accepted::kFull) {
    settler.reject(Status(Code::E_STORAGE_TIMEOUT, directory->path() + " does not answer: too many calls wait for it"));
  } else if (accepted == ThreadGroup::Accepted::kClosed) {
    settler.reject(Status(Code::E_INTERNAL, "the directory " + directory->path() + " was closed already"));
  }
  return settler.promise();
}

// The same with the opened directory, for `call(RepositoryDir&)`.
template <typename Call, typename ToValue>
Napi::Value call_in(Napi::Env env, const DirectoryPtr& directory, Call call, ToValue to_value) {
  using Answer = std::invoke_result_t<Call, RepositoryDir&>;
  return run_in(
      env, directory,
      [directory, call = std::move(call)]() -> Answer {
        Result<std::shared_ptr<RepositoryDir>> dir = directory->opened();
        if (!dir.ok()) return dir.status();
        return call(**dir);
      },
      to_value);
}

const auto to_undefined = [](Napi::Env env, Nothing) -> Napi::Value { return env.Undefined(); };
const auto to_boolean = [](Napi::Env env, bool value) -> Napi::Value { return to_js(env, value); };

const char* kind_name(FileKind kind) {
  switch (kind) {
    case FileKind::kFile:
      return "file";
    case FileKind::kDirectory:
      return "directory";
    case FileKind::kOther:
      return "other";
  }
  return "other";
}

Napi::Value open_directory(const Napi::CallbackInfo& info) {
  return AnyHandle::make(info.Env(), std::make_shared<Directory>(text_argument(info, 0)));
}

Napi::Value read(const Napi::CallbackInfo& info) {
  auto directory = AnyHandle::argument<Directory>(info, 0);
  std::string name = text_argument(info, 1);
  const std::uint64_t max_bytes = number_argument(info, 2);
  if (info.Env().IsExceptionPending()) return {};
  return call_in(
      info.Env(), directory, [name, max_bytes](RepositoryDir& dir) { return dir.read(name, max_bytes); },
      [](Napi::Env env, std::optional<Bytes>&& bytes) -> Napi::Value {
        return bytes ? to_js(env, *bytes) : env.Null();
      });
}

Napi::Value status(const Napi::CallbackInfo& info) {
  auto directory = AnyHandle::argument<Directory>(info, 0);
  std::string name = text_argument(info, 1);
  if (info.Env().IsExceptionPending()) return {};
  return call_in(
      info.Env(), directory, [name](RepositoryDir& dir) { return dir.status(name); },
      [](Napi::Env env, std::optional<FileStatus>&& found) -> Napi::Value {
        if (!found) return env.Null();
        Napi::Object object = Napi::Object::New(env);
        object.Set("kind", kind_name(found->kind));
        object.Set("sizeBytes", to_js(env, found->size_bytes));
        object.Set("modifiedMs", Napi::Number::New(env, static_cast<double>(found->modified_ms)));
        return object;
      });
}

Napi::Value list(const Napi::CallbackInfo& info) {
  auto directory = AnyHandle::argument<Directory>(info, 0);
  std::string name = text_argument(info, 1);
  if (info.Env().IsExceptionPending()) return {};
  return call_in(
      info.Env(), directory, [name](RepositoryDir& dir) { return dir.list(name); },
      [](Napi::Env env, std::optional<std::vector<DirectoryEntry>>&& entries) -> Napi::Value {
        if (!entries) return env.Null();
        Napi::Array array = Napi::Array::New(env, entries->size());
        std::uint32_t index = 0;
        for (const DirectoryEntry& entry : *entries) {
          Napi::Object object = Napi::Object::New(env);
          object.Set("name", entry.name);
          object.Set("kind", kind_name(entry.kind));
          array.Set(index++, object);
        }
        return array;
      });
}

Napi::Value make_directories(const Napi::CallbackInfo& info) {
  auto directory = AnyHandle::argument<Directory>(info, 0);
  std::string name = text_argument(info, 1);
  if (info.Env().IsExceptionPending()) return {};
  return call_in(
      info.Env(), directory, [name](RepositoryDir& dir) { return or_nothing(dir.make_directories(name)); },
      to_undefined);
}

// putIfAbsent and replace differ in the call only.
template <Status (RepositoryDir::*kPut)(std::string_view, ByteSpan)>
Napi::Value put(const Napi::CallbackInfo& info) {
  auto directory = AnyHandle::argument<Directory>(info, 0);
  std::string name = text_argument(info, 1);
  const ByteSpan bytes = bytes_argument(info, 2);
  if (info.Env().IsExceptionPending()) return {};
  auto copy = std::make_shared<const Bytes>(bytes.begin(), bytes.end());
  return call_in(
      info.Env(), directory, [name, copy](RepositoryDir& dir) { return or_nothing((dir.*kPut)(name, *copy)); },
      to_undefined);
}

Napi::Value remove(const Napi::CallbackInfo& info) {
  auto directory = AnyHandle::argument<Directory>(info, 0);
  std::string name = text_argument(info, 1);
  if (info.Env().IsExceptionPending()) return {};
  return call_in(
      info.Env(), directory, [name](RepositoryDir& dir) { return dir.remove(name); }, to_boolean);
}

Napi::Value move(const Napi::CallbackInfo& info) {
  auto directory = AnyHandle::argument<Directory>(info, 0);
  std::string from = text_argument(info, 1);
  std::string to = text_argument(info, 2);
  if (info.Env().IsExceptionPending()) return {};
  return call_in(
      info.Env(), directory, [from, to](RepositoryDir& dir) { return dir.move(from, to); }, to_boolean);
}

Napi::Value space(const Napi::CallbackInfo& info) {
  auto directory = AnyHandle::argument<Directory>(info, 0);
  if (info.Env().IsExceptionPending()) return {};
  return call_in(
      info.Env(), directory, [](RepositoryDir& dir) { return dir.space(); },
      [](Napi::Env env, Space&& found) -> Napi::Value {
        Napi::Object object = Napi::Object::New(env);
        object.Set("totalBytes", to_js(env, found.total_bytes));
        object.Set("availableBytes", to_js(env, found.available_bytes));
        object.Set("usedBytes", to_js(env, found.used_bytes));
        return object;
      });
}

const char* no_replace_name(NoReplace found) {
  switch (found) {
    case NoReplace::kRename:
      return "renameat2";
    case NoReplace::kLink:
      return "link";
    case NoReplace::kNone:
      return "none";
  }
  return "none";
}

Napi::Value no_replace(const Napi::CallbackInfo& info) {
  auto directory = AnyHandle::argument<Directory>(info, 0);
  if (info.Env().IsExceptionPending()) return {};
  return call_in(
      info.Env(), directory, [](RepositoryDir& dir) { return dir.no_replace(); },
      [](Napi::Env env, NoReplace found) -> Napi::Value { return Napi::String::New(env, no_replace_name(found)); });
}

// As PVE does it (pve-storage DirPlugin.pm, path_is_mounted): symbolic links are followed first, and what is not there
// is not mounted.
Result<bool> is_mounted_now(const std::string& path) {
  const std::unique_ptr<char, decltype(&std::free)> resolved(realpath(path.c_str(), nullptr), &std::free);
  if (resolved) return RepositoryDir::is_mounted(resolved.get());
  if (errno == ENOENT || errno == ENOTDIR) return false;
  return storage_errno(errno, "looking for the mount point " + path);
}

Napi::Value is_mounted(const Napi::CallbackInfo& info) {
  auto directory = AnyHandle::argument<Directory>(info, 0);
  std::string mount_point = text_argument(info, 1);
  if (info.Env().IsExceptionPending()) return {};
  return run_in(
      info.Env(), directory, [mount_point] { return is_mounted_now(mount_point); }, to_boolean);
}

void close(const Napi::CallbackInfo& info) {
  auto directory = AnyHandle::argument<Directory>(info, 0);
  if (directory) directory->close();
}

}  // namespace

void export_directory(Napi::Env env, Napi::Object exports) {
  exports.Set("directoryOpen", Napi::Function::New<open_directory>(env));
  exports.Set("directoryRead", Napi::Function::New<read>(env));
  exports.Set("directoryStatus", Napi::Function::New<status>(env));
  exports.Set("directoryList", Napi::Function::New<list>(env));
  exports.Set("directoryMakeDirectories", Napi::Function::New<make_directories>(env));
  exports.Set("directoryPutIfAbsent", Napi::Function::New<put<&RepositoryDir::put_if_absent>>(env));
  exports.Set("directoryReplace", Napi::Function::New<put<&RepositoryDir::replace>>(env));
  exports.Set("directoryRemove", Napi::Function::New<remove>(env));
  exports.Set("directoryMove", Napi::Function::New<move>(env));
  exports.Set("directorySpace", Napi::Function::New<space>(env));
  exports.Set("directoryIsMounted", Napi::Function::New<is_mounted>(env));
  exports.Set("directoryNoReplace", Napi::Function::New<no_replace>(env));
  exports.Set("directoryClose", Napi::Function::New<close>(env));
}

}  // namespace vzv::addon
