#include "core/base/aes_gcm.h"

#include <openssl/evp.h>

#include <cstdlib>
#include <memory>

namespace vzv {

namespace {

void require(bool ok) {
  if (!ok) std::abort();
}

const EVP_CIPHER* algorithm() {
  static const EVP_CIPHER* const cipher = EVP_CIPHER_fetch(nullptr, "AES-256-GCM", nullptr);
  return cipher;
}

struct FreeCipher {
  void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }  // wipes the key's schedule
};
// One for each call: it costs about a microsecond, and no key stays in a thread's memory.
using CipherContext = std::unique_ptr<EVP_CIPHER_CTX, FreeCipher>;

}  // namespace

void Aes256Gcm::seal(const Nonce& nonce, ByteSpan associated, Bytes& bytes) const {
  const CipherContext context(EVP_CIPHER_CTX_new());
  const auto length = static_cast<int>(bytes.size());
  int done = 0;
  require(context && EVP_EncryptInit_ex2(context.get(), algorithm(), key_.bytes().data(), nonce.data(), nullptr) == 1);
  require(EVP_EncryptUpdate(context.get(), nullptr, &done, associated.data(), static_cast<int>(associated.size())) ==
          1);
  bytes.resize(bytes.size() + kTagBytes);
  require(EVP_EncryptUpdate(context.get(), bytes.data(), &done, bytes.data(), length) == 1 && done == length);
  require(EVP_EncryptFinal_ex(context.get(), bytes.data() + length, &done) == 1 && done == 0);
  require(EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_GET_TAG, kTagBytes, bytes.data() + length) == 1);
}

std::optional<std::span<std::uint8_t>> Aes256Gcm::open(const Nonce& nonce, ByteSpan associated,
                                                       std::span<std::uint8_t> sealed) const {
  if (sealed.size() < kTagBytes) return std::nullopt;
  const std::span<std::uint8_t> bytes = sealed.first(sealed.size() - kTagBytes);
  std::uint8_t* const tag = bytes.data() + bytes.size();
  const CipherContext context(EVP_CIPHER_CTX_new());
  const auto length = static_cast<int>(bytes.size());
  int done = 0;
  require(context && EVP_DecryptInit_ex2(context.get(), algorithm(), key_.bytes().data(), nonce.data(), nullptr) == 1);
  require(EVP_DecryptUpdate(context.get(), nullptr, &done, associated.data(), static_cast<int>(associated.size())) ==
          1);
  require(EVP_DecryptUpdate(context.get(), bytes.data(), &done, bytes.data(), length) == 1 && done == length);
  require(EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_SET_TAG, kTagBytes, tag) == 1);
  if (EVP_DecryptFinal_ex(context.get(), bytes.data() + length, &done) != 1) {
    wipe(bytes);
    return std::nullopt;
  }
  return bytes;
}

}  // namespace vzv
