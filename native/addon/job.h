// What takes long runs on a thread of its own under a Job, through which JavaScript looks at its progress and stops it.
#pragma once

#include <napi.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "addon/store.h"
#include "core/base/cancel.h"
#include "core/chunk/volume_geometry.h"
#include "core/pipeline/counters.h"
#include "core/source/region_queue.h"

namespace vzv::addon {

inline constexpr const char* kJobThreadName = "vzv-job";

// Used by one job; kept by its thread and by JavaScript.
struct Job {
  CancelToken cancel;
  BackupCounters backup;
  ArchiveCounters archive;
  CopyCounters copy;
  // Of a backup whose dirty regions JavaScript brings. JavaScript thread only; its thread has a reference of its own.
  std::shared_ptr<RegionQueue> regions;
};

// The first two arguments of a job's call: the open store or writer that it works on, and the job. Where one of them is
// not given, an exception is pending and both are null.
template <typename T>
struct JobCall {
  std::shared_ptr<T> on;
  std::shared_ptr<Job> job;

  explicit JobCall(const Napi::CallbackInfo& info) : on(open_argument<T>(info, 0)) {
    if (on) job = AnyHandle::argument<Job>(info, 1);
    if (!job) on = nullptr;
  }
  explicit operator bool() const { return job != nullptr; }
};

struct MapArgument {
  VolumeGeometry geometry;
  Id root;
};
// Throws where the map is one that the format does not allow.
std::optional<MapArgument> map_of(Napi::Env env, const Napi::Object& fields);

// Fields of an object that JavaScript has checked.
std::string text_field(const Napi::Object& object, const char* name);
std::int64_t number_field(const Napi::Object& object, const char* name);

Napi::Object backup_progress_of(Napi::Env env, const BackupCounters& counters);
Napi::Object copy_progress_of(Napi::Env env, const CopyCounters& counters);
// What a verification found; of `unlisted` more only the number.
Napi::Array to_damages(Napi::Env env, const std::vector<Status>& damages, std::uint64_t unlisted);

}  // namespace vzv::addon
