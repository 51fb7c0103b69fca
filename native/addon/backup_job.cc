// Backing up a volume: the source, what changed on it, and the dirty regions that JavaScript brings meanwhile.
#include <string>
#include <utility>
#include <vector>

#include "addon/exports.h"
#include "addon/job.h"
#include "core/pipeline/volume_backup.h"
#include "core/source/nbd_dirty_regions.h"
#include "core/source/open_source.h"

namespace vzv::addon {

namespace {

// All that a backup's thread is given.
struct BackupTask {
  SourceAddress address;
  SourceOptions source;
  VolumeBackupOptions options;
  std::optional<MapArgument> base;       // none: a full backup
  std::string bitmap_name;               // of an incremental one over the export's own bitmap
  std::shared_ptr<RegionQueue> regions;  // of an incremental one whose regions JavaScript brings
};

// Throws where a descriptor is not open.
SourceAddress address_of(Napi::Env env, const Napi::Object& source) {
  const std::string kind = text_field(source, "kind");
  if (kind == "nbd") return NbdSocketAddress{text_field(source, "socketPath"), text_field(source, "exportName")};
  if (kind == "nbd-uri") return NbdUriAddress{text_field(source, "uri")};
  if (kind == "file") return FileAddress{text_field(source, "path")};
  Result<UniqueFd> fd = duplicate_fd(static_cast<int>(number_field(source, "fd")));
  if (!fd.ok()) {
    throw_status(env, fd.status());
    return FileAddress{};
  }
  return DescriptorAddress{std::make_shared<const UniqueFd>(std::move(*fd)), text_field(source, "name")};
}

void read_incremental(Napi::Env env, const Napi::Object& fields, Job& job, BackupTask& task) {
  const Napi::Value incremental = fields.Get("incremental");
  if (!incremental.IsObject()) return;
  const Napi::Object object = incremental.As<Napi::Object>();
  task.base = map_of(env, object.Get("base").ToObject());
  if (const Napi::Value bitmap = object.Get("bitmapName"); bitmap.IsString()) {
    task.bitmap_name = bitmap.As<Napi::String>().Utf8Value();
    return;
  }
  const auto* descriptor = std::get_if<DescriptorAddress>(&task.address);
  job.regions = task.regions = std::make_shared<RegionQueue>(descriptor != nullptr ? descriptor->name : "the disk",
                                                             task.source.stall_timeout_ms, job.cancel);
}

BackupTask task_of(Napi::Env env, const Napi::Object& fields, Job& job) {
  BackupTask task;
  task.address = address_of(env, fields.Get("source").ToObject());
  if (env.IsExceptionPending()) return task;
  const std::int64_t expected = number_field(fields, "expectedSizeBytes");
  task.source.stall_timeout_ms = static_cast<int>(number_field(fields, "stallTimeoutMs"));
  if (expected >= 0) task.source.expected_size_bytes = static_cast<std::uint64_t>(expected);
  task.options.chunk_size_bytes = static_cast<std::uint32_t>(number_field(fields, "chunkSizeBytes"));
  task.options.stall_timeout_ms = task.source.stall_timeout_ms;
  task.options.discard = fields.Get("discard").ToBoolean().Value();
  read_incremental(env, fields, job, task);
  return task;
}

Result<VolumeBackupResult> run_backup(Writer& writer, Job& job, const BackupTask& task) {
  Result<std::unique_ptr<BlockSource>> source = open_source(task.address, task.source, job.cancel);
  if (!source.ok()) return source.status();
  VolumeBackupOptions options = task.options;
  options.limiter = &writer.limiter;
  if (!task.base) return backup_volume(**source, *writer.chunks, options, job.backup, job.cancel);

  std::unique_ptr<DirtyRegions> bitmap;
  if (task.regions == nullptr) {
    const auto* address = std::get_if<NbdSocketAddress>(&task.address);
    if (address == nullptr) return Status(Code::E_ARGUMENT_INVALID, (*source)->name() + " has no dirty bitmap");
    Result<std::unique_ptr<DirtyRegions>> opened = open_nbd_dirty_regions(
        *address, task.bitmap_name, (*source)->size_bytes(), options.stall_timeout_ms, job.cancel);
    if (!opened.ok()) return opened.status();
    bitmap = std::move(*opened);
  }
  DirtyRegions& dirty = bitmap != nullptr ? *bitmap : *task.regions;
  options.incremental.emplace(IncrementalBase{dirty, task.base->geometry, task.base->root, *writer.store->reader});
  return backup_volume(**source, *writer.chunks, options, job.backup, job.cancel);
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
  const JobCall<Writer> call(info);
  if (!call) return {};
  BackupTask task = task_of(env, info[2].ToObject(), *call.job);
  if (env.IsExceptionPending()) return {};
  return run_on_thread(
      env, kJobThreadName,
      [call, task = std::move(task)] {
        Result<VolumeBackupResult> result = run_backup(*call.on, *call.job, task);
        if (task.regions != nullptr) task.regions->close();
        return result;
      },
      [job = call.job](Napi::Env inner, VolumeBackupResult&& result) -> Napi::Value {
        Napi::Object object = Napi::Object::New(inner);
        object.Set("map", to_map(inner, result));
        object.Set("counters", backup_progress_of(inner, job->backup));
        object.Set("discardRefusal", result.discard_refusal ? Napi::String::New(inner, *result.discard_refusal)
                                                            : Napi::Value(inner.Null()));
        return object;
      });
}

// The queue of a job that has been begun with one.
std::shared_ptr<RegionQueue> regions_argument(const Napi::CallbackInfo& info) {
  auto job = AnyHandle::argument<Job>(info, 0);
  if (!job) return nullptr;
  if (job->regions == nullptr) throw_status(info.Env(), Status(Code::E_INTERNAL, "the job takes no dirty regions"));
  return job->regions;
}

// A promise of true when a batch is wanted, of false when none will be any more.
Napi::Value regions_wanted(const Napi::CallbackInfo& info) {
  auto regions = regions_argument(info);
  if (!regions) return {};
  Settler settler(info.Env());
  regions->when_wanted([settler](bool is_wanted) {
    settler.resolve([is_wanted](Napi::Env env) -> Napi::Value { return to_js(env, is_wanted); });
  });
  return settler.promise();
}

// Numbers in pairs of offset and length.
void offer_regions(const Napi::CallbackInfo& info) {
  auto regions = regions_argument(info);
  if (!regions) return;
  const bool is_done = flag_argument(info, 2);
  if (!info[1].IsTypedArray() || info[1].As<Napi::TypedArray>().TypedArrayType() != napi_float64_array) {
    Napi::TypeError::New(info.Env(), "argument 1 is not a Float64Array").ThrowAsJavaScriptException();
  }
  if (info.Env().IsExceptionPending()) return;
  const auto numbers = info[1].As<Napi::Float64Array>();
  std::vector<Range> batch;
  for (std::size_t i = 0; i + 1 < numbers.ElementLength(); i += 2) {
    batch.push_back({static_cast<std::uint64_t>(numbers[i]), static_cast<std::uint64_t>(numbers[i + 1])});
  }
  if (const Status offered = regions->offer(std::move(batch), is_done); !offered.ok())
    throw_status(info.Env(), offered);
}

}  // namespace

void export_backup_job(Napi::Env env, Napi::Object exports) {
  exports.Set("writerBackupVolume", Napi::Function::New<back_up_volume>(env));
  exports.Set("jobRegionsWanted", Napi::Function::New<regions_wanted>(env));
  exports.Set("jobOfferRegions", Napi::Function::New<offer_regions>(env));
}

}  // namespace vzv::addon
