// Jobs as such: making, stopping and looking at them, and what their calls share.
#include "addon/job.h"

#include "addon/exports.h"

namespace vzv::addon {

std::string text_field(const Napi::Object& object, const char* name) { return object.Get(name).ToString().Utf8Value(); }

std::int64_t number_field(const Napi::Object& object, const char* name) {
  return object.Get(name).ToNumber().Int64Value();
}

std::optional<MapArgument> map_of(Napi::Env env, const Napi::Object& fields) {
  const auto size_bytes = static_cast<std::uint64_t>(number_field(fields, "sizeBytes"));
  const auto chunk_size_bytes = static_cast<std::uint32_t>(number_field(fields, "chunkSizeBytes"));
  const std::string root_text = text_field(fields, "rootId");
  if (env.IsExceptionPending()) return std::nullopt;
  const auto geometry = VolumeGeometry::make(size_bytes, chunk_size_bytes);
  const auto root = Id::from_hex(root_text);
  if (geometry.ok() && root) return MapArgument{geometry.value(), *root};
  throw_status(
      env, geometry.ok() ? Status(Code::E_ARGUMENT_INVALID, "a map's root is no id: " + root_text) : geometry.status());
  return std::nullopt;
}

Napi::Object backup_progress_of(Napi::Env env, const BackupCounters& counters) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("sizeBytes", to_js(env, counters.size_bytes.load()));
  object.Set("processedBytes", to_js(env, counters.processed_bytes.load()));
  object.Set("unchangedBytes", to_js(env, counters.unchanged_bytes.load()));
  object.Set("readBytes", to_js(env, counters.read_bytes.load()));
  object.Set("zeroBytes", to_js(env, counters.zero_bytes.load()));
  object.Set("reusedBytes", to_js(env, counters.reused_bytes.load()));
  object.Set("newBytes", to_js(env, counters.new_bytes.load()));
  object.Set("writtenBytes", to_js(env, counters.written_bytes.load()));
  object.Set("discardedBytes", to_js(env, counters.discarded_bytes.load()));
  return object;
}

Napi::Object copy_progress_of(Napi::Env env, const CopyCounters& counters) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("totalBytes", to_js(env, counters.total_bytes.load()));
  object.Set("processedBytes", to_js(env, counters.processed_bytes.load()));
  object.Set("holeBytes", to_js(env, counters.hole_bytes.load()));
  return object;
}

namespace {

Napi::Value make_job(const Napi::CallbackInfo& info) { return AnyHandle::make(info.Env(), std::make_shared<Job>()); }

void cancel_job(const Napi::CallbackInfo& info) {
  auto job = AnyHandle::argument<Job>(info, 0);
  if (job) job->cancel.cancel();
}

Napi::Value backup_progress(const Napi::CallbackInfo& info) {
  auto job = AnyHandle::argument<Job>(info, 0);
  return job ? Napi::Value(backup_progress_of(info.Env(), job->backup)) : Napi::Value();
}

Napi::Value copy_progress(const Napi::CallbackInfo& info) {
  auto job = AnyHandle::argument<Job>(info, 0);
  return job ? Napi::Value(copy_progress_of(info.Env(), job->copy)) : Napi::Value();
}

}  // namespace

void export_job(Napi::Env env, Napi::Object exports) {
  exports.Set("jobCreate", Napi::Function::New<make_job>(env));
  exports.Set("jobCancel", Napi::Function::New<cancel_job>(env));
  exports.Set("jobBackupProgress", Napi::Function::New<backup_progress>(env));
  exports.Set("jobCopyProgress", Napi::Function::New<copy_progress>(env));
}

}  // namespace vzv::addon
