#include "core/base/hmac.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#include <cstdlib>

namespace vzv {

namespace {

void require(bool ok) {
  if (!ok) std::abort();
}

// Looking algorithms up by name is slow; once is enough.
EVP_MAC* hmac() {
  static EVP_MAC* const mac = EVP_MAC_fetch(nullptr, "HMAC", nullptr);
  return mac;
}
EVP_KDF* hkdf() {
  static EVP_KDF* const kdf = EVP_KDF_fetch(nullptr, "HKDF", nullptr);
  return kdf;
}

char kSha256[] = "SHA256";

struct FreeMac {
  void operator()(EVP_MAC_CTX* context) const { EVP_MAC_CTX_free(context); }
};
struct FreeKdf {
  void operator()(EVP_KDF_CTX* context) const { EVP_KDF_CTX_free(context); }
};
using MacContext = std::unique_ptr<EVP_MAC_CTX, FreeMac>;

// OpenSSL's parameters are not const, though input ones are only read.
OSSL_PARAM octets(const char* name, ByteSpan bytes) {
  return OSSL_PARAM_construct_octet_string(name, const_cast<std::uint8_t*>(bytes.data()), bytes.size());
}

}  // namespace

void wipe(std::span<std::uint8_t> bytes) { OPENSSL_cleanse(bytes.data(), bytes.size()); }

// Keyed, with nothing hashed yet: each call works on a copy. OpenSSL wipes what it frees.
struct HmacSha256::Context {
  MacContext keyed;
};

HmacSha256::HmacSha256(ByteSpan key) : context_(new Context{MacContext(EVP_MAC_CTX_new(hmac()))}) {
  const OSSL_PARAM parameters[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, kSha256, 0),
                                   OSSL_PARAM_construct_end()};
  require(context_->keyed && EVP_MAC_init(context_->keyed.get(), key.data(), key.size(), parameters) == 1);
}

HmacSha256::~HmacSha256() = default;

Id HmacSha256::of(ByteSpan bytes) const {
  const MacContext context(EVP_MAC_CTX_dup(context_->keyed.get()));
  Id id;
  std::size_t length = 0;
  require(context && EVP_MAC_update(context.get(), bytes.data(), bytes.size()) == 1 &&
          EVP_MAC_final(context.get(), id.bytes.data(), &length, id.bytes.size()) == 1 && length == id.bytes.size());
  return id;
}

void derive_key(ByteSpan key, ByteSpan salt, std::string_view info, SecretKey& derived) {
  const std::unique_ptr<EVP_KDF_CTX, FreeKdf> context(EVP_KDF_CTX_new(hkdf()));
  const ByteSpan info_bytes(reinterpret_cast<const std::uint8_t*>(info.data()), info.size());
  const OSSL_PARAM parameters[] = {OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, kSha256, 0),
                                   octets(OSSL_KDF_PARAM_KEY, key), octets(OSSL_KDF_PARAM_INFO, info_bytes),
                                   // Last, so that no salt at all is the end of the list.
                                   salt.empty() ? OSSL_PARAM_construct_end() : octets(OSSL_KDF_PARAM_SALT, salt),
                                   OSSL_PARAM_construct_end()};
  const auto out = derived.fill();
  require(context && EVP_KDF_derive(context.get(), out.data(), out.size(), parameters) == 1);
}

}  // namespace vzv
