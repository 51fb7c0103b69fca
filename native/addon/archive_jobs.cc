// Backing up and verifying archives, each on a thread of its own under a Job.
#include <optional>
#include <utility>

#include "addon/exports.h"
#include "addon/job.h"
#include "addon/unreadable.h"
#include "core/pipeline/archive_backup.h"
#include "core/pipeline/archive_verify.h"

namespace vzv::addon {

namespace {

Napi::Object progress_of(Napi::Env env, const ArchiveCounters& counters) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("members", to_js(env, counters.members.load()));
  object.Set("readBytes", to_js(env, counters.read_bytes.load()));
  object.Set("zeroBytes", to_js(env, counters.zero_bytes.load()));
  object.Set("reusedBytes", to_js(env, counters.reused_bytes.load()));
  object.Set("newBytes", to_js(env, counters.new_bytes.load()));
  return object;
}

Napi::Value archive_progress(const Napi::CallbackInfo& info) {
  auto job = AnyHandle::argument<Job>(info, 0);
  return job ? Napi::Value(progress_of(info.Env(), job->archive)) : Napi::Value();
}

Napi::Object to_stream(Napi::Env env, const StreamMap& map) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("sizeBytes", to_js(env, map.size_bytes));
  object.Set("levels", to_js(env, std::uint64_t{map.levels}));
  object.Set("rootId", map.root.hex());
  return object;
}

Napi::Object to_archive(Napi::Env env, const ArchiveMap& archive) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("members", to_js(env, archive.members));
  object.Set("data", to_stream(env, archive.data));
  object.Set("catalogue", to_stream(env, archive.catalogue));
  return object;
}

Napi::Value back_up_archive(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const JobCall<Writer> call(info);
  if (!call) return {};
  const auto fd_number = static_cast<int>(number_argument(info, 2));
  if (env.IsExceptionPending()) return {};
  Result<UniqueFd> duplicate = duplicate_fd(fd_number);
  if (!duplicate.ok()) return throw_status(env, duplicate.status());
  const auto fd = std::make_shared<UniqueFd>(std::move(*duplicate));
  return run_on_thread(
      env, kJobThreadName,
      [writer = call.on, job = call.job, fd] {
        const ArchiveBackupOptions options{.limiter = &writer->limiter};
        Result<ArchiveMap> archive = backup_archive(fd->get(), *writer->chunks, options, job->archive, job->cancel);
        // Whoever still writes to the pipe learns that nobody reads, before the promise settles.
        fd->reset();
        return archive;
      },
      [job = call.job](Napi::Env inner, ArchiveMap&& archive) -> Napi::Value {
        Napi::Object object = Napi::Object::New(inner);
        object.Set("archive", to_archive(inner, archive));
        object.Set("counters", progress_of(inner, job->archive));
        return object;
      });
}

// Throws where the root is no id; what the rest says is the verification's to judge.
std::optional<StreamMap> stream_of(Napi::Env env, const Napi::Object& fields) {
  StreamMap map;
  map.size_bytes = static_cast<std::uint64_t>(number_field(fields, "sizeBytes"));
  map.levels = static_cast<unsigned>(number_field(fields, "levels"));
  const std::string text = text_field(fields, "rootId");
  if (env.IsExceptionPending()) return std::nullopt;
  const std::optional<Id> root = Id::from_hex(text);
  if (!root) {
    throw_status(env, Status(Code::E_ARGUMENT_INVALID, "a stream's root is no id: " + text));
    return std::nullopt;
  }
  map.root = *root;
  return map;
}

Napi::Value verify_one_archive(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const JobCall<Store> call(info);
  if (!call) return {};
  const Napi::Object fields = info[2].ToObject();
  const std::int64_t members = number_field(fields, "members");
  if (env.IsExceptionPending()) return {};
  const std::optional<StreamMap> data = stream_of(env, fields.Get("data").ToObject());
  if (!data) return {};
  const std::optional<StreamMap> catalogue = stream_of(env, fields.Get("catalogue").ToObject());
  if (!catalogue) return {};
  const ArchiveMap archive{static_cast<std::uint64_t>(members), *data, *catalogue};
  const auto unreadable = std::make_shared<UnreadableChunks>();
  return run_on_thread(
      env, kJobThreadName,
      [store = call.on, job = call.job, archive, unreadable] {
        VerifyingReader verifying(*store, unreadable);
        return verify_archive(archive, verifying.reader, job->copy, job->cancel);
      },
      [unreadable](Napi::Env inner, ArchiveVerifyResult&& result) -> Napi::Value {
        Napi::Object object = Napi::Object::New(inner);
        object.Set("chunks", to_js(inner, result.chunks));
        object.Set("damages", to_damages(inner, result.damages, result.damage_count - result.damages.size()));
        object.Set("unreadable", unreadable->to_js(inner));
        return object;
      });
}

}  // namespace

void export_archive_jobs(Napi::Env env, Napi::Object exports) {
  exports.Set("jobArchiveProgress", Napi::Function::New<archive_progress>(env));
  exports.Set("writerBackupArchive", Napi::Function::New<back_up_archive>(env));
  exports.Set("storeVerifyArchive", Napi::Function::New<verify_one_archive>(env));
}

}  // namespace vzv::addon
