// Long work on what is stored: restoring and verifying volumes, verifying packs.
#include <string>
#include <utility>

#include "addon/exports.h"
#include "addon/job.h"
#include "addon/unreadable.h"
#include "core/pipeline/volume_restore.h"
#include "core/pipeline/volume_verify.h"
#include "core/store/store_verify.h"

namespace vzv::addon {

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

Napi::Value restore(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const JobCall<Store> call(info);
  if (!call) return {};
  const auto map = map_of(env, info[2].ToObject());
  if (!map) return {};
  const RestoreTargetPath target{text_argument(info, 3), flag_argument(info, 4)};
  if (env.IsExceptionPending()) return {};
  return run_on_thread(
      env, kJobThreadName,
      [call, map = *map, target] {
        MapReader reader(map.geometry, map.root, *call.on->reader);
        return or_nothing(restore_volume(reader, *call.on->reader, target, call.job->copy, call.job->cancel));
      },
      [call](Napi::Env inner, Nothing) -> Napi::Value { return copy_progress_of(inner, call.job->copy); });
}

Napi::Value verify_one_volume(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const JobCall<Store> call(info);
  if (!call) return {};
  const auto map = map_of(env, info[2].ToObject());
  if (!map) return {};
  const auto unreadable = std::make_shared<UnreadableChunks>();
  return run_on_thread(
      env, kJobThreadName,
      [call, map = *map, unreadable] {
        VerifyingReader verifying(*call.on, unreadable);
        MapReader reader(map.geometry, map.root, verifying.reader);
        return verify_volume(reader, verifying.reader, call.job->copy, call.job->cancel);
      },
      [unreadable](Napi::Env inner, VolumeVerifyResult&& result) -> Napi::Value {
        Napi::Object object = Napi::Object::New(inner);
        object.Set("chunks", to_js(inner, result.chunks));
        object.Set("damages", to_damages(inner, result.damages, result.damage_count - result.damages.size()));
        object.Set("unreadable", unreadable->to_js(inner));
        return object;
      });
}

Napi::Value verify_all_packs(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const JobCall<Store> call(info);
  if (!call) return {};
  const bool decode = flag_argument(info, 2);
  std::optional<std::vector<Id>> packs;
  if (!info[3].IsNull()) packs = ids_argument(info, 3);
  const bool segments = flag_argument(info, 4);
  if (env.IsExceptionPending()) return {};
  return run_on_thread(
      env, kJobThreadName,
      [call, decode, packs, segments] {
        const auto progress = [&](const VerifyProgress& now) {
          call.job->copy.total_bytes = now.total_bytes;
          call.job->copy.processed_bytes = now.processed_bytes;
        };
        return verify_packs(*call.on->dir,
                            {.decode = decode, .packs = packs, .segments = segments, .keys = call.on->keys}, progress,
                            call.job->cancel);
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
  exports.Set("storeRestoreVolume", Napi::Function::New<restore>(env));
  exports.Set("storeVerifyVolume", Napi::Function::New<verify_one_volume>(env));
  exports.Set("storeVerifyPacks", Napi::Function::New<verify_all_packs>(env));
}

}  // namespace vzv::addon
