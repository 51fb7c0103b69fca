// Repairs: what is left of damaged packs, the index made anew, and which chunks can be read again.
#include <array>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "addon/exports.h"
#include "addon/job.h"
#include "addon/limits.h"
#include "addon/unreadable.h"
#include "core/store/index_rebuild.h"
#include "core/store/salvage.h"

namespace vzv::addon {

namespace {

constexpr std::array<std::pair<ChunkType, std::string_view>, 3> kTypeNames{
    {{ChunkType::kData, "data"}, {ChunkType::kMapNode, "map-node"}, {ChunkType::kCatalogue, "catalogue"}}};

}  // namespace

std::string format_chunk_key(const ChunkKey& key) {
  for (const auto& [type, name] : kTypeNames) {
    if (type == key.type) return std::string(name) + ":" + key.id.hex();
  }
  return {};
}

std::optional<ChunkKey> parse_chunk_key(const std::string& text) {
  for (const auto& [type, name] : kTypeNames) {
    if (!text.starts_with(name) || text.size() <= name.size() || text[name.size()] != ':') continue;
    const std::optional<Id> id = Id::from_hex(text.substr(name.size() + 1));
    if (id) return ChunkKey{*id, type};
  }
  return std::nullopt;
}

void UnreadableChunks::note(const ChunkKey& key) {
  std::lock_guard lock(mutex_);
  if (keys_.size() < limits::kUnreadableListedMax) {
    keys_.insert(key);
  } else if (!keys_.contains(key)) {
    is_full_ = true;
  }
}

Napi::Value UnreadableChunks::to_js(Napi::Env env) const {
  std::lock_guard lock(mutex_);
  if (is_full_) return env.Null();
  Napi::Array array = Napi::Array::New(env, keys_.size());
  std::uint32_t n = 0;
  for (const ChunkKey& key : keys_) array.Set(n++, format_chunk_key(key));
  return array;
}

VerifyingReader::VerifyingReader(const Store& store, const std::shared_ptr<UnreadableChunks>& unreadable)
    : reader(store.dir, store.index, limits::kStoreCacheBytes, store.keys) {
  reader.on_unreadable([noted = unreadable](const ChunkKey& key) { noted->note(key); });
}

namespace {

Napi::Value salvage(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const JobCall<Writer> call(info);
  if (!call) return {};
  const std::vector<Id> packs = ids_argument(info, 2);
  if (env.IsExceptionPending()) return {};
  return run_on_thread(
      env, kJobThreadName,
      [call, packs]() -> Result<SalvageResult> {
        const Store& store = *call.on->store;
        if (!call.on->chunks->exclude(packs).empty()) {
          return Status(Code::E_INTERNAL, "salvaging a pack that the writer has used already");
        }
        SalvageResult all;
        for (const Id& pack : packs) {
          const auto progress = [&](std::uint64_t bytes) { call.job->copy.processed_bytes += bytes; };
          const Result<SalvageResult> one =
              salvage_pack(store.dir, store.index, store.keys, pack, *call.on->chunks, progress, call.job->cancel);
          if (!one.ok()) return one.status();
          all.chunks += one->chunks;
          all.lost += one->lost;
        }
        return all;
      },
      [](Napi::Env inner, SalvageResult&& result) -> Napi::Value {
        Napi::Object object = Napi::Object::New(inner);
        object.Set("chunks", to_js(inner, result.chunks));
        object.Set("lost", to_js(inner, result.lost));
        return object;
      });
}

Napi::Value rebuild(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const JobCall<Store> call(info);
  if (!call) return {};
  const std::string session = text_argument(info, 2);
  const bool is_encrypted = flag_argument(info, 3);
  if (env.IsExceptionPending()) return {};
  return run_on_thread(
      env, kJobThreadName,
      [call, session, is_encrypted]() -> Result<RebuildResult> {
        const Result<std::shared_ptr<RepositoryDir>> dir = call.on->dir->for_session(session);
        if (!dir.ok()) return dir.status();
        const auto progress = [&](const RebuildProgress& now) {
          call.job->copy.total_bytes = now.total_packs;
          call.job->copy.processed_bytes = now.processed_packs;
        };
        const Suite suite = is_encrypted ? Suite::kAes256Gcm : Suite::kNone;
        return rebuild_index(**dir, *call.on->index, suite, progress, call.job->cancel);
      },
      [](Napi::Env inner, RebuildResult&& result) -> Napi::Value {
        Napi::Object object = Napi::Object::New(inner);
        object.Set("packs", to_js(inner, result.packs));
        object.Set("chunks", to_js(inner, result.chunks));
        object.Set("added", to_js(inner, result.added));
        object.Set("replaced", to_js(inner, result.replaced));
        object.Set("damages", to_damages(inner, result.damages, 0));
        return object;
      });
}

// Which of these chunks cannot be read, for whatever reason but that there is no key.
Result<std::vector<ChunkKey>> unreadable_of(const Store& store, const std::vector<ChunkKey>& keys,
                                            const CancelToken& cancel) {
  ChunkReader reader(store.dir, store.index, 0, store.keys);
  std::vector<ChunkKey> unreadable;
  for (const ChunkKey& key : keys) {
    VZV_TRY(cancel.status());
    const Code code = reader.read(key.id, key.type).status().code();
    if (code == Code::E_KEY_MISSING) return Status(code, "reading chunks of an encrypted repository");
    if (code != Code::kOk) unreadable.push_back(key);
  }
  return unreadable;
}

Napi::Value find_unreadable(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const JobCall<Store> call(info);
  if (!call) return {};
  if (!info[2].IsArray()) {
    Napi::TypeError::New(env, "argument 2 is not an array").ThrowAsJavaScriptException();
    return {};
  }
  std::vector<ChunkKey> keys;
  const auto texts = info[2].As<Napi::Array>();
  for (std::uint32_t n = 0; n < texts.Length(); ++n) {
    const std::string text = texts.Get(n).ToString().Utf8Value();
    const std::optional<ChunkKey> key = parse_chunk_key(text);
    if (!key) return throw_status(env, Status(Code::E_ARGUMENT_INVALID, "\"" + text + "\" names no chunk"));
    keys.push_back(*key);
  }
  return run_on_thread(
      env, kJobThreadName, [call, keys] { return unreadable_of(*call.on, keys, call.job->cancel); },
      [](Napi::Env inner, std::vector<ChunkKey>&& unreadable) -> Napi::Value {
        Napi::Array array = Napi::Array::New(inner, unreadable.size());
        std::uint32_t n = 0;
        for (const ChunkKey& key : unreadable) array.Set(n++, format_chunk_key(key));
        return array;
      });
}

}  // namespace

void export_repair(Napi::Env env, Napi::Object exports) {
  exports.Set("writerSalvage", Napi::Function::New<salvage>(env));
  exports.Set("storeRebuildIndex", Napi::Function::New<rebuild>(env));
  exports.Set("storeUnreadableChunks", Napi::Function::New<find_unreadable>(env));
}

}  // namespace vzv::addon
