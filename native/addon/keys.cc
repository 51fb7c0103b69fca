// Loading keys, and the documents that are sealed with them.
#include "addon/keys.h"

#include "addon/convert.h"
#include "addon/exports.h"
#include "core/store/document.h"

namespace vzv::addon {

namespace {

struct BoundKeys {
  RepositoryKeysPtr keys;
};

Napi::Value load(const Napi::CallbackInfo& info) {
  const ByteSpan secret = bytes_argument(info, 0);
  if (info.Env().IsExceptionPending()) return {};
  Result<RepositoryKeysPtr> keys = RepositoryKeys::load(secret);
  if (!keys.ok()) return throw_status(info.Env(), keys.status());
  return AnyHandle::make(info.Env(), std::make_shared<BoundKeys>(BoundKeys{std::move(keys).value()}));
}

Napi::Value fingerprint(const Napi::CallbackInfo& info) {
  const RepositoryKeysPtr keys = keys_argument(info, 0);
  if (info.Env().IsExceptionPending()) return {};
  return keys == nullptr ? info.Env().Null() : Napi::String::New(info.Env(), keys->fingerprint());
}

template <Result<Bytes> (*kTransform)(DocumentKind, std::string_view, ByteSpan, const RepositoryKeys*)>
Napi::Value transform_document(const Napi::CallbackInfo& info) {
  const std::uint64_t kind = number_argument(info, 0);
  const std::string name = text_argument(info, 1);
  const ByteSpan bytes = bytes_argument(info, 2);
  const RepositoryKeysPtr keys = keys_argument(info, 3);
  if (info.Env().IsExceptionPending()) return {};
  Result<Bytes> answer = kTransform(static_cast<DocumentKind>(kind), name, bytes, keys.get());
  return answer.ok() ? to_js(info.Env(), *answer) : throw_status(info.Env(), answer.status());
}

}  // namespace

RepositoryKeysPtr keys_argument(const Napi::CallbackInfo& info, std::size_t index) {
  if (info[index].IsNull()) return nullptr;
  const auto bound = AnyHandle::argument<BoundKeys>(info, index);
  return bound == nullptr ? nullptr : bound->keys;
}

void export_keys(Napi::Env env, Napi::Object exports) {
  exports.Set("keyLoad", Napi::Function::New<load>(env));
  exports.Set("keyFingerprint", Napi::Function::New<fingerprint>(env));
  exports.Set("sealDocument", Napi::Function::New<transform_document<&seal_document>>(env));
  exports.Set("openDocument", Napi::Function::New<transform_document<&open_document>>(env));
}

}  // namespace vzv::addon
