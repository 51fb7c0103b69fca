#include "core/store/repository_keys.h"

#include "core/base/bytes.h"
#include "core/base/sha256.h"

namespace vzv {

struct RepositoryKeys::Derived {
  explicit Derived(ByteSpan secret) {
    derive_key(secret, {}, "vzvault id", id);
    derive_key(secret, {}, "vzvault cut", cut);
  }
  SecretKey id;
  SecretKey cut;
};

namespace {

constexpr std::size_t kFingerprintDigits = 32;

}  // namespace

Result<std::shared_ptr<const RepositoryKeys>> RepositoryKeys::load(ByteSpan secret) {
  if (secret.size() != SecretKey::kBytes) {
    return Status(Code::E_ARGUMENT_INVALID, "a repository's key has " + std::to_string(SecretKey::kBytes) +
                                                " bytes, not " + std::to_string(secret.size()));
  }
  return std::shared_ptr<const RepositoryKeys>(new RepositoryKeys(secret, Derived(secret)));
}

RepositoryKeys::RepositoryKeys(ByteSpan secret, const Derived& derived)
    : id_key_(derived.id.bytes()),
      cut_key_(derived.cut.bytes()),
      gear_(make_gear_table([this](ByteSpan text) { return cut_key_.of(text); })),
      fingerprint_(HmacSha256(secret).of(as_bytes("vzvault fingerprint")).hex().substr(0, kFingerprintDigits)) {
  derive_key(secret, {}, "vzvault data", data_key_);
  derive_key(secret, {}, "vzvault document", document_key_);
}

// The others wipe themselves. The table tells where data is cut.
RepositoryKeys::~RepositoryKeys() { wipe({reinterpret_cast<std::uint8_t*>(gear_.data()), sizeof gear_}); }

Status RepositoryKeys::check_fingerprint(const std::string& expected) const {
  if (fingerprint_ == expected) return {};
  return {Code::E_KEY_WRONG, "the key has the fingerprint " + fingerprint_ + ", the repository asks for " + expected};
}

std::unique_ptr<const Aes256Gcm> RepositoryKeys::pack_cipher(const Salt& salt) const {
  auto cipher = std::make_unique<Aes256Gcm>();
  derive_key(data_key_.bytes(), salt, "vzvault pack", cipher->key());
  return cipher;
}

std::unique_ptr<const Aes256Gcm> RepositoryKeys::document_cipher(const Salt& salt) const {
  auto cipher = std::make_unique<Aes256Gcm>();
  derive_key(document_key_.bytes(), salt, "vzvault document", cipher->key());
  return cipher;
}

Id chunk_id(const RepositoryKeys* keys, ByteSpan plain) {
  return keys == nullptr ? sha256(plain) : keys->chunk_id(plain);
}

const GearTable& gear_table(const RepositoryKeys* keys) { return keys == nullptr ? gear_table() : keys->gear(); }

Id cut_digest(const RepositoryKeys* keys, ByteSpan path) {
  return keys == nullptr ? sha256(path) : keys->cut_digest(path);
}

}  // namespace vzv
