// HMAC-SHA-256 (RFC 2104) and the keys that HKDF-SHA-256 (RFC 5869) makes of others. OpenSSL does the work; where it
// cannot (no memory), the program ends: a wrong hash would be worse.
#pragma once

#include <memory>
#include <string_view>

#include "core/base/id.h"
#include "core/base/secret_key.h"

namespace vzv {

// HMAC under one key, which is taken in once: a call costs little more than a hash of the bytes. Thread-safe.
class HmacSha256 {
 public:
  explicit HmacSha256(ByteSpan key);
  ~HmacSha256();
  HmacSha256(const HmacSha256&) = delete;
  HmacSha256& operator=(const HmacSha256&) = delete;

  Id of(ByteSpan bytes) const;

 private:
  struct Context;
  const std::unique_ptr<const Context> context_;
};

// HKDF-SHA-256 with 32 bytes of output. An empty salt is what RFC 5869 calls "not provided". Thread-safe.
void derive_key(ByteSpan key, ByteSpan salt, std::string_view info, SecretKey& derived);

}  // namespace vzv
