// ChunkStore: opening, statistics, refreshing, writers. What takes long (jobs.cc) has progress and can be stopped.
#include "addon/store.h"

#include "addon/exports.h"
#include "addon/keys.h"
#include "addon/limits.h"
#include "core/store/chunk_type.h"

namespace vzv::addon {

namespace {

constexpr const char* kThreadName = "vzv-store";

Result<std::shared_ptr<Store>> open_store(const std::string& path, const std::string& cache_directory,
                                          const RepositoryKeysPtr& keys) {
  Result<std::shared_ptr<RepositoryDir>> dir = RepositoryDir::open(path);
  if (!dir.ok()) return dir.status();
  Result<std::shared_ptr<Index>> index = Index::open(*dir, cache_directory, known_suite_of(keys.get()));
  if (!index.ok()) return index.status();
  auto store = std::make_shared<Store>();
  store->dir = *dir;
  store->index = *index;
  store->keys = keys;
  store->reader = std::make_unique<ChunkReader>(*dir, *index, limits::kStoreCacheBytes, keys);
  return store;
}

Napi::Value open(const Napi::CallbackInfo& info) {
  std::string path = text_argument(info, 0);
  std::string cache_directory = text_argument(info, 1);
  RepositoryKeysPtr keys = keys_argument(info, 2);
  if (info.Env().IsExceptionPending()) return {};
  return run_on_thread(
      info.Env(), kThreadName, [path, cache_directory, keys] { return open_store(path, cache_directory, keys); },
      [](Napi::Env env, std::shared_ptr<Store>&& store) -> Napi::Value {
        return AnyHandle::make(env, std::make_shared<BoundStore>(std::move(store)));
      });
}

Napi::Value make_writer(const Napi::CallbackInfo& info) {
  auto store = open_argument<Store>(info, 0);
  const auto zstd_level = static_cast<int>(number_argument(info, 1));
  const std::uint64_t bandwidth_limit = number_argument(info, 2);
  std::string session = text_argument(info, 3);
  std::vector<Id> excluded = ids_argument(info, 4);
  if (info.Env().IsExceptionPending()) return {};
  return run_on_thread(
      info.Env(), kThreadName,
      [store, zstd_level, bandwidth_limit, session, excluded]() -> Result<std::shared_ptr<Writer>> {
        auto chunks = ChunkWriter::create(
            store->dir, store->index,
            {.zstd_level = zstd_level, .keys = store->keys, .session = session, .excluded = excluded});
        if (!chunks.ok()) return chunks.status();
        auto writer = std::make_shared<Writer>(store, bandwidth_limit);
        writer->chunks = std::move(chunks).value();
        return writer;
      },
      [](Napi::Env env, std::shared_ptr<Writer>&& writer) -> Napi::Value {
        return AnyHandle::make(env, std::make_shared<BoundWriter>(std::move(writer)));
      });
}

struct Statistics {
  IndexStatistics index;
  std::uint64_t pack_bytes = 0;
};

// Packs that vanish meanwhile count as empty.
Result<Statistics> statistics_of(const Store& store) {
  Statistics statistics;
  statistics.index = store.index->statistics();
  for (const Id& pack : store.index->packs()) {
    Result<std::optional<FileStatus>> status = store.dir->status(pack_name(pack));
    if (!status.ok()) return status.status();
    if (*status) statistics.pack_bytes += (*status)->size_bytes;
  }
  return statistics;
}

Napi::Value statistics(const Napi::CallbackInfo& info) {
  auto store = open_argument<Store>(info, 0);
  if (info.Env().IsExceptionPending()) return {};
  return run_on_thread(
      info.Env(), kThreadName, [store] { return statistics_of(*store); },
      [](Napi::Env env, Statistics&& found) -> Napi::Value {
        Napi::Object object = Napi::Object::New(env);
        object.Set("packs", to_js(env, found.index.packs));
        object.Set("packBytes", to_js(env, found.pack_bytes));
        object.Set("segments", to_js(env, found.index.segments));
        object.Set("chunks", to_js(env, found.index.chunks));
        object.Set("plainBytes", to_js(env, found.index.plain_bytes));
        return object;
      });
}

Napi::Value refresh(const Napi::CallbackInfo& info) {
  auto store = open_argument<Store>(info, 0);
  if (info.Env().IsExceptionPending()) return {};
  return run_on_thread(info.Env(), kThreadName, [store] { return store->index->refresh(); });
}

Napi::Value flush(const Napi::CallbackInfo& info) {
  auto writer = open_argument<Writer>(info, 0);
  if (info.Env().IsExceptionPending()) return {};
  return run_on_thread(
      info.Env(), kThreadName,
      [writer]() -> Result<std::uint64_t> {
        VZV_TRY(writer->chunks->flush());
        return writer->chunks->added_bytes();
      },
      [](Napi::Env env, std::uint64_t added_bytes) -> Napi::Value {
        Napi::Object object = Napi::Object::New(env);
        object.Set("addedBytes", to_js(env, added_bytes));
        return object;
      });
}

// The packs that it keeps.
Napi::Value exclude(const Napi::CallbackInfo& info) {
  auto writer = open_argument<Writer>(info, 0);
  std::vector<Id> packs = ids_argument(info, 1);
  if (info.Env().IsExceptionPending()) return {};
  return run_on_thread(
      info.Env(), kThreadName,
      [writer, packs = std::move(packs)]() -> Result<std::vector<Id>> { return writer->chunks->exclude(packs); },
      [](Napi::Env env, std::vector<Id>&& keeps) -> Napi::Value { return to_js(env, keeps); });
}

Napi::Value close_store(const Napi::CallbackInfo& info) { return close_argument<Store>(info, 0); }
Napi::Value close_writer(const Napi::CallbackInfo& info) { return close_argument<Writer>(info, 0); }

}  // namespace

void export_store(Napi::Env env, Napi::Object exports) {
  exports.Set("storeOpen", Napi::Function::New<open>(env));
  exports.Set("storeWriter", Napi::Function::New<make_writer>(env));
  exports.Set("storeStatistics", Napi::Function::New<statistics>(env));
  exports.Set("storeRefresh", Napi::Function::New<refresh>(env));
  exports.Set("storeClose", Napi::Function::New<close_store>(env));
  exports.Set("writerExclude", Napi::Function::New<exclude>(env));
  exports.Set("writerFlush", Napi::Function::New<flush>(env));
  exports.Set("writerClose", Napi::Function::New<close_writer>(env));
}

}  // namespace vzv::addon
