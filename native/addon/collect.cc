// Collections: what is long runs on a thread of its own under a Job. Closing one stops what is under way.
#include <poll.h>

#include <algorithm>
#include <chrono>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "addon/exports.h"
#include "addon/job.h"
#include "core/collect/collection.h"

namespace vzv::addon {

namespace {

// A collection that JavaScript holds. Kept by every job that runs on it.
class Collecting {
 public:
  Collecting(std::shared_ptr<Store> of, std::uint64_t bandwidth_limit_bytes_per_second)
      : store(std::move(of)), limiter_(bandwidth_limit_bytes_per_second, RateLimiter::Clock::now()) {}

  const std::shared_ptr<Store> store;
  std::unique_ptr<Collection> collection;
  CollectCounters counters;

  CollectControl control(const std::shared_ptr<Job>& job) {
    {
      std::lock_guard lock(mutex_);
      std::erase_if(jobs_, [](const auto& other) { return other.expired(); });
      jobs_.push_back(job);
    }
    return {job->cancel, [this, job](std::uint64_t bytes) { return wait_for(bytes, job->cancel); }};
  }

  // Waits for what is under way, after telling it to stop.
  void close() {
    {
      std::lock_guard lock(mutex_);
      for (const auto& waiting : jobs_) {
        if (const std::shared_ptr<Job> job = waiting.lock()) job->cancel.cancel();
      }
    }
    collection->close();
  }

 private:
  Status wait_for(std::uint64_t bytes, const CancelToken& cancel) {
    while (bytes > 0) {
      VZV_TRY(cancel.status());
      const std::uint64_t step = std::min(bytes, limiter_.step_max_bytes());
      const auto wait = limiter_.take(step, RateLimiter::Clock::now());
      if (wait == RateLimiter::Clock::duration::zero()) {
        bytes -= step;
        continue;
      }
      pollfd stopped{cancel.poll_fd(), POLLIN, 0};
      const auto wait_ms = std::chrono::ceil<std::chrono::milliseconds>(wait).count();
      (void)::poll(&stopped, 1, static_cast<int>(std::min<std::int64_t>(wait_ms, 1'000)));
    }
    return {};
  }

  RateLimiter limiter_;
  std::mutex mutex_;
  std::vector<std::weak_ptr<Job>> jobs_;  // GUARDED BY mutex_
};

using CollectingPtr = std::shared_ptr<Collecting>;

Napi::Value open_collection(const Napi::CallbackInfo& info) {
  auto store = open_argument<Store>(info, 0);
  const std::string session = text_argument(info, 1);
  const std::uint64_t bandwidth_limit = number_argument(info, 2);
  const auto zstd_level = static_cast<int>(number_argument(info, 3));
  if (info.Env().IsExceptionPending()) return {};
  return run_on_thread(
      info.Env(), "vzv-store",
      [store, session, bandwidth_limit, zstd_level]() -> Result<CollectingPtr> {
        auto collection = Collection::create(store->dir, store->index,
                                             {.session = session, .zstd_level = zstd_level, .keys = store->keys});
        if (!collection.ok()) return collection.status();
        auto collecting = std::make_shared<Collecting>(store, bandwidth_limit);
        collecting->collection = std::move(*collection);
        return collecting;
      },
      [](Napi::Env env, CollectingPtr&& collecting) -> Napi::Value {
        return AnyHandle::make(env, std::make_shared<Closable<Collecting>>(std::move(collecting)));
      });
}

Napi::Object mark_counters_of(Napi::Env env, const CollectCounters& counters) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("nodesRead", to_js(env, counters.nodes_read.load()));
  object.Set("nodesRemembered", to_js(env, counters.nodes_remembered.load()));
  object.Set("filesOpened", to_js(env, counters.files_opened.load()));
  object.Set("chunksMarked", to_js(env, counters.chunks_marked.load()));
  return object;
}

Napi::Value mark_progress(const Napi::CallbackInfo& info) {
  auto collecting = open_argument<Collecting>(info, 0);
  return collecting ? Napi::Value(mark_counters_of(info.Env(), collecting->counters)) : Napi::Value();
}

Napi::Value move_progress(const Napi::CallbackInfo& info) {
  auto collecting = open_argument<Collecting>(info, 0);
  if (!collecting) return {};
  Napi::Object object = Napi::Object::New(info.Env());
  object.Set("totalBytes", to_js(info.Env(), collecting->counters.total_bytes.load()));
  object.Set("processedBytes", to_js(info.Env(), collecting->counters.processed_bytes.load()));
  object.Set("holeBytes", to_js(info.Env(), std::uint64_t{0}));
  return object;
}

// Throws where a root's id is none; what the rest says is the walk's to judge.
std::vector<MapRoot> roots_argument(const Napi::CallbackInfo& info, std::size_t index) {
  Napi::Env env = info.Env();
  std::vector<MapRoot> roots;
  if (!info[index].IsArray()) {
    Napi::TypeError::New(env, "argument " + std::to_string(index) + " is not an array").ThrowAsJavaScriptException();
    return roots;
  }
  const auto array = info[index].As<Napi::Array>();
  for (std::uint32_t n = 0; n < array.Length() && !env.IsExceptionPending(); ++n) {
    const Napi::Object fields = array.Get(n).ToObject();
    MapRoot root;
    root.kind = text_field(fields, "kind") == "volume" ? MapRoot::Kind::kVolume : MapRoot::Kind::kStream;
    root.size_bytes = static_cast<std::uint64_t>(number_field(fields, "sizeBytes"));
    root.levels = static_cast<unsigned>(number_field(fields, "levels"));
    if (root.kind == MapRoot::Kind::kVolume) {
      root.chunk_size_bytes = static_cast<std::uint32_t>(number_field(fields, "chunkSizeBytes"));
    } else if (text_field(fields, "type") == "catalogue") {
      root.type = ChunkType::kCatalogue;
    }
    const std::string text = text_field(fields, "rootId");
    const std::optional<Id> id = Id::from_hex(text);
    if (!id) throw_status(env, Status(Code::E_ARGUMENT_INVALID, "a map's root is no id: " + text));
    if (!env.IsExceptionPending()) root.root = *id;
    roots.push_back(root);
  }
  return roots;
}

Napi::Value mark(const Napi::CallbackInfo& info) {
  const JobCall<Collecting> call(info);
  if (!call) return {};
  std::vector<MapRoot> roots = roots_argument(info, 2);
  if (info.Env().IsExceptionPending()) return {};
  return run_on_thread(
      info.Env(), kJobThreadName,
      [call, roots = std::move(roots)] {
        return or_nothing(call.on->collection->mark(roots, call.on->control(call.job), call.on->counters));
      },
      [call](Napi::Env env, Nothing) -> Napi::Value { return mark_counters_of(env, call.on->counters); });
}

Napi::Value packs(const Napi::CallbackInfo& info) {
  const JobCall<Collecting> call(info);
  if (!call) return {};
  return run_on_thread(
      info.Env(), kJobThreadName, [call] { return call.on->collection->packs(call.on->control(call.job)); },
      [](Napi::Env env, std::vector<PackUse>&& uses) -> Napi::Value {
        Napi::Array array = Napi::Array::New(env, uses.size());
        std::uint32_t n = 0;
        for (const PackUse& use : uses) {
          Napi::Object object = Napi::Object::New(env);
          object.Set("id", use.id.hex());
          object.Set("fileBytes", to_js(env, use.file_bytes));
          object.Set("chunks", to_js(env, use.chunks));
          object.Set("liveChunks", to_js(env, use.live_chunks));
          object.Set("liveStoredBytes", to_js(env, use.live_stored_bytes));
          array.Set(n++, object);
        }
        return array;
      });
}

// Runs one step of a collection on the packs that the call names.
template <typename Step, typename ToValue>
Napi::Value on_packs(const Napi::CallbackInfo& info, Step step, ToValue to_value) {
  const JobCall<Collecting> call(info);
  if (!call) return {};
  std::vector<Id> packs = ids_argument(info, 2);
  if (info.Env().IsExceptionPending()) return {};
  return run_on_thread(
      info.Env(), kJobThreadName,
      [call, packs = std::move(packs), step] { return step(*call.on, packs, call.on->control(call.job)); }, to_value);
}

Napi::Value compact(const Napi::CallbackInfo& info) {
  return on_packs(
      info,
      [](Collecting& on, const std::vector<Id>& packs, const CollectControl& control) {
        return on.collection->compact(packs, control, on.counters);
      },
      [](Napi::Env env, CompactionResult&& result) -> Napi::Value {
        Napi::Object object = Napi::Object::New(env);
        object.Set("packs", to_js(env, result.packs));
        object.Set("addedBytes", to_js(env, result.added_bytes));
        return object;
      });
}

Napi::Value still_needed_packs(const Napi::CallbackInfo& info) {
  return on_packs(
      info,
      [](Collecting& on, const std::vector<Id>& packs, const CollectControl& control) {
        return on.collection->still_needed(packs, control);
      },
      [](Napi::Env env, std::vector<Id>&& needed) -> Napi::Value { return to_js(env, needed); });
}

Napi::Value merge(const Napi::CallbackInfo& info) {
  return on_packs(
      info,
      [](Collecting& on, const std::vector<Id>& packs, const CollectControl& control) {
        return on.collection->merge_segments(packs, control, on.counters);
      },
      [](Napi::Env env, MergeResult&& result) -> Napi::Value {
        Napi::Object object = Napi::Object::New(env);
        object.Set("replaced", to_js(env, result.replaced));
        object.Set("added", to_js(env, result.added));
        return object;
      });
}

Napi::Value close_collection(const Napi::CallbackInfo& info) {
  auto bound = AnyHandle::argument<Closable<Collecting>>(info, 0);
  if (!bound) return {};
  return run_on_thread(info.Env(), "vzv-close", [collecting = std::exchange(bound->open, nullptr)]() mutable {
    if (collecting != nullptr) collecting->close();
    collecting.reset();
    return Status();
  });
}

}  // namespace

void export_collect(Napi::Env env, Napi::Object exports) {
  exports.Set("storeCollection", Napi::Function::New<open_collection>(env));
  exports.Set("collectionMarkProgress", Napi::Function::New<mark_progress>(env));
  exports.Set("collectionMoveProgress", Napi::Function::New<move_progress>(env));
  exports.Set("collectionMark", Napi::Function::New<mark>(env));
  exports.Set("collectionPacks", Napi::Function::New<packs>(env));
  exports.Set("collectionCompact", Napi::Function::New<compact>(env));
  exports.Set("collectionStillNeeded", Napi::Function::New<still_needed_packs>(env));
  exports.Set("collectionMergeSegments", Napi::Function::New<merge>(env));
  exports.Set("collectionClose", Napi::Function::New<close_collection>(env));
}

}  // namespace vzv::addon
