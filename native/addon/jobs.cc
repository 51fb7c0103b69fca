// What takes long: backing up, restoring and verifying volumes, verifying packs. Each runs on a thread of its own under
// a Job, through which JavaScript looks at its progress and stops it.
#include <string>
#include <utility>

#include "addon/exports.h"
#include "addon/job.h"
#include "core/pipeline/volume_backup.h"
#include "core/pipeline/volume_restore.h"
#include "core/pipeline/volume_verify.h"
#include "core/source/open_source.h"
#include "core/store/store_verify.h"

namespace vzv::addon {

std::string text_field(const Napi::Object& object, const char* name) { return object.Get(name).ToString().Utf8Value(); }

std::int64_t number_field(const Napi::Object& object, const char* name) {
  return object.Get(name).ToNumber().Int64Value();
}

Napi::Object copy_progress_of(Napi::Env env, const CopyCounters& counters) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("totalBytes", to_js(env, counters.total_bytes.load()));
  object.Set("processedBytes", to_js(env, counters.processed_bytes.load()));
  object.Set("holeBytes", to_js(env, counters.hole_bytes.load()));
  return object;
}

Napi::Array to_damages(Napi::Env env, const std::vector<Status>& damages, std::uint64_t unlisted) {
  Napi::Array array = Napi::Array::New(env);
  const auto add = [&](std::string_view code, const std::string& message) {
    Napi::Object object = Napi::Object::New(env);
    object.Set("code", std::string(code));
    object.Set("message", message);
    array.Set(array.Length(), object);
  };
  for (const Status& damage : damages) add(code_name(damage.code()), damage.message());
  if (unlisted > 0)
    add(code_name(damages.back().code()), "and " + std::to_string(unlisted) + " more that are not listed");
  return array;
}

namespace {

Napi::Value make_job(const Napi::CallbackInfo& info) { return AnyHandle::make(info.Env(), std::make_shared<Job>()); }

void cancel_job(const Napi::CallbackInfo& info) {
  auto job = AnyHandle::argument<Job>(info, 0);
  if (job) job->cancel.cancel();
}

Napi::Object backup_progress_of(Napi::Env env, const BackupCounters& counters) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("sizeBytes", to_js(env, counters.size_bytes.load()));
  object.Set("processedBytes", to_js(env, counters.processed_bytes.load()));
  object.Set("readBytes", to_js(env, counters.read_bytes.load()));
  object.Set("zeroBytes", to_js(env, counters.zero_bytes.load()));
  object.Set("reusedBytes", to_js(env, counters.reused_bytes.load()));
  object.Set("newBytes", to_js(env, counters.new_bytes.load()));
  return object;
}

Napi::Value backup_progress(const Napi::CallbackInfo& info) {
  auto job = AnyHandle::argument<Job>(info, 0);
  return job ? Napi::Value(backup_progress_of(info.Env(), job->backup)) : Napi::Value();
}

Napi::Value copy_progress(const Napi::CallbackInfo& info) {
  auto job = AnyHandle::argument<Job>(info, 0);
  return job ? Napi::Value(copy_progress_of(info.Env(), job->copy)) : Napi::Value();
}

SourceAddress source_address(const Napi::Object& options) {
  const std::string kind = text_field(options, "sourceKind");
  std::string address = text_field(options, "sourceAddress");
  if (kind == "nbd") return NbdSocketAddress{std::move(address), text_field(options, "exportName")};
  if (kind == "nbd-uri") return NbdUriAddress{std::move(address)};
  return FileAddress{std::move(address)};
}

Napi::Object to_map(Napi::Env env, const VolumeBackupResult& result) {
  Napi::Object map = Napi::Object::New(env);
  map.Set("sizeBytes", to_js(env, result.geometry.size_bytes));
  map.Set("chunkSizeBytes", to_js(env, std::uint64_t{result.geometry.chunk_size_bytes}));
  map.Set("levels", to_js(env, std::uint64_t{result.geometry.levels()}));
  map.Set("rootId", result.root.hex());
  return map;
}

Napi::Value back_up_volume(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  auto writer = open_argument<Writer>(info, 0);
  if (env.IsExceptionPending()) return {};
  auto job = AnyHandle::argument<Job>(info, 1);
  if (env.IsExceptionPending()) return {};
  const Napi::Object fields = info[2].ToObject();
  const SourceAddress address = source_address(fields);
  const std::int64_t expected = number_field(fields, "expectedSizeBytes");
  SourceOptions source_options;
  source_options.stall_timeout_ms = static_cast<int>(number_field(fields, "stallTimeoutMs"));
  if (expected >= 0) source_options.expected_size_bytes = static_cast<std::uint64_t>(expected);
  VolumeBackupOptions options;
  options.chunk_size_bytes = static_cast<std::uint32_t>(number_field(fields, "chunkSizeBytes"));
  options.bandwidth_limit_bytes_per_second =
      static_cast<std::uint64_t>(number_field(fields, "bandwidthLimitBytesPerSecond"));
  options.stall_timeout_ms = source_options.stall_timeout_ms;
  if (env.IsExceptionPending()) return {};
  return run_on_thread(
      env, kJobThreadName,
      [writer, job, address, source_options, options]() -> Result<VolumeBackupResult> {
        Result<std::unique_ptr<BlockSource>> source = open_source(address, source_options, job->cancel);
        if (!source.ok()) return source.status();
        return backup_volume(**source, *writer->chunks, options, job->backup, job->cancel);
      },
      [job](Napi::Env inner, VolumeBackupResult&& result) -> Napi::Value {
        Napi::Object object = Napi::Object::New(inner);
        object.Set("map", to_map(inner, result));
        object.Set("counters", backup_progress_of(inner, job->backup));
        return object;
      });
}

struct MapArgument {
  VolumeGeometry geometry;
  Id root;
};

// Throws where the map is one that the format does not allow.
std::optional<MapArgument> map_argument(const Napi::CallbackInfo& info, std::size_t index) {
  Napi::Env env = info.Env();
  const Napi::Object fields = info[index].ToObject();
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

Napi::Value restore(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  auto store = open_argument<Store>(info, 0);
  if (env.IsExceptionPending()) return {};
  auto job = AnyHandle::argument<Job>(info, 1);
  if (env.IsExceptionPending()) return {};
  const auto map = map_argument(info, 2);
  if (env.IsExceptionPending()) return {};
  const RestoreTargetPath target{text_argument(info, 3), flag_argument(info, 4)};
  if (env.IsExceptionPending()) return {};
  return run_on_thread(
      env, kJobThreadName,
      [store, job, map = *map, target] {
        MapReader reader(map.geometry, map.root, *store->reader);
        return or_nothing(restore_volume(reader, *store->reader, target, job->copy, job->cancel));
      },
      [job](Napi::Env inner, Nothing) -> Napi::Value { return copy_progress_of(inner, job->copy); });
}

Napi::Value verify_one_volume(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  auto store = open_argument<Store>(info, 0);
  if (env.IsExceptionPending()) return {};
  auto job = AnyHandle::argument<Job>(info, 1);
  if (env.IsExceptionPending()) return {};
  const auto map = map_argument(info, 2);
  if (env.IsExceptionPending()) return {};
  return run_on_thread(
      env, kJobThreadName,
      [store, job, map = *map] {
        MapReader reader(map.geometry, map.root, *store->reader);
        return verify_volume(reader, *store->reader, job->copy, job->cancel);
      },
      [](Napi::Env inner, VolumeVerifyResult&& result) -> Napi::Value {
        Napi::Object object = Napi::Object::New(inner);
        object.Set("chunks", to_js(inner, result.chunks));
        object.Set("damages", to_damages(inner, result.damages, result.damage_count - result.damages.size()));
        return object;
      });
}

Napi::Value verify_all_packs(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  auto store = open_argument<Store>(info, 0);
  if (env.IsExceptionPending()) return {};
  auto job = AnyHandle::argument<Job>(info, 1);
  if (env.IsExceptionPending()) return {};
  const bool decode = flag_argument(info, 2);
  if (env.IsExceptionPending()) return {};
  return run_on_thread(
      env, kJobThreadName,
      [store, job, decode] {
        const auto progress = [&](const VerifyProgress& now) {
          job->copy.total_bytes = now.total_bytes;
          job->copy.processed_bytes = now.processed_bytes;
        };
        return verify_packs(*store->dir, {.decode = decode}, progress, job->cancel);
      },
      [](Napi::Env inner, VerifyReport&& report) -> Napi::Value {
        Napi::Object object = Napi::Object::New(inner);
        object.Set("packs", to_js(inner, report.packs));
        object.Set("packBytes", to_js(inner, report.pack_bytes));
        object.Set("chunks", to_js(inner, report.chunks));
        object.Set("damages", to_damages(inner, report.damages, report.damages_unlisted));
        return object;
      });
}

}  // namespace

void export_jobs(Napi::Env env, Napi::Object exports) {
  exports.Set("jobCreate", Napi::Function::New<make_job>(env));
  exports.Set("jobCancel", Napi::Function::New<cancel_job>(env));
  exports.Set("jobBackupProgress", Napi::Function::New<backup_progress>(env));
  exports.Set("jobCopyProgress", Napi::Function::New<copy_progress>(env));
  exports.Set("writerBackupVolume", Napi::Function::New<back_up_volume>(env));
  exports.Set("storeRestoreVolume", Napi::Function::New<restore>(env));
  exports.Set("storeVerifyVolume", Napi::Function::New<verify_one_volume>(env));
  exports.Set("storeVerifyPacks", Napi::Function::New<verify_all_packs>(env));
}

}  // namespace vzv::addon
