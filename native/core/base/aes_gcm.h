// AES-256-GCM (NIST SP 800-38D) under one key, with nonces of 12 and tags of 16 bytes.
//
// The caller never uses a nonce twice under a key: that would give away what was sealed with it. Keys are wiped when
// this goes. Thread-safe. Ends the program where OpenSSL has no memory.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "core/base/id.h"
#include "core/base/secret_key.h"

namespace vzv {

class Aes256Gcm {
 public:
  static constexpr std::size_t kTagBytes = 16;
  using Nonce = std::array<std::uint8_t, 12>;

  // To be filled once, before anything else.
  SecretKey& key() { return key_; }

  // Encrypts `bytes` in place and puts the tag behind them. REQUIRES: at most 2^31 - 1 bytes.
  void seal(const Nonce& nonce, ByteSpan associated, Bytes& bytes) const;

  // Decrypts `sealed` (with its tag) in place and answers the plain bytes, its first ones. An empty optional where the
  // tag does not fit key, nonce, associated data and bytes; `sealed` then holds nothing that may be used.
  std::optional<std::span<std::uint8_t>> open(const Nonce& nonce, ByteSpan associated,
                                              std::span<std::uint8_t> sealed) const;

 private:
  SecretKey key_;
};

}  // namespace vzv
