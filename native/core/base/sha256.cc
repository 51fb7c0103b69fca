#include "core/base/sha256.h"

#include <openssl/evp.h>

#include <cstdlib>

namespace vzv {

namespace {

// Looking the algorithm up by name takes a lock and some microseconds; once is enough.
const EVP_MD* algorithm() {
  static const EVP_MD* const md = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  return md;
}

// OpenSSL's digest calls fail only when it has no memory or no SHA-256 at all. A wrong hash would be worse than an end.
void require(bool ok) {
  if (!ok) std::abort();
}

}  // namespace

struct Sha256::Context {
  Context() : md(EVP_MD_CTX_new()) { require(md != nullptr); }
  ~Context() { EVP_MD_CTX_free(md); }
  void begin() { require(EVP_DigestInit_ex2(md, algorithm(), nullptr) == 1); }

  EVP_MD_CTX* const md;
};

Sha256::Sha256() : context_(std::make_unique<Context>()) { context_->begin(); }
Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

void Sha256::update(ByteSpan bytes) { require(EVP_DigestUpdate(context_->md, bytes.data(), bytes.size()) == 1); }

Id Sha256::finish() {
  Id id;
  require(EVP_DigestFinal_ex(context_->md, id.bytes.data(), nullptr) == 1);
  context_->begin();
  return id;
}

Id sha256(ByteSpan bytes) {
  thread_local Sha256 hash;
  hash.update(bytes);
  return hash.finish();
}

}  // namespace vzv
