// The keys of an encrypted repository: everything that follows from its one secret of 32 bytes (docs/format.md,
// Encryption).
//
// The secret itself is not kept, only what is derived of it; that is wiped when the last user lets go. Nothing here is
// ever printed but the fingerprint, which gives nothing away.
//
// A repository without encryption has no keys: functions that take a pointer take null for it, and answer then what
// anybody could compute. Thread-safe.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "core/base/aes_gcm.h"
#include "core/base/hmac.h"
#include "core/base/secret_key.h"
#include "core/base/status.h"
#include "core/chunk/fastcdc.h"
#include "core/store/suite.h"

namespace vzv {

class RepositoryKeys {
 public:
  // E_ARGUMENT_INVALID for a secret that is not of 32 bytes. The caller wipes it.
  static Result<std::shared_ptr<const RepositoryKeys>> load(ByteSpan secret);
  ~RepositoryKeys();

  // 32 hex digits, which a repository's config names: those of another key are others.
  const std::string& fingerprint() const { return fingerprint_; }
  // E_KEY_WRONG unless the fingerprint is `expected`.
  Status check_fingerprint(const std::string& expected) const;

  Id chunk_id(ByteSpan plain) const { return id_key_.of(plain); }
  const GearTable& gear() const { return gear_; }
  // Of a path: what decides whether a piece of a catalogue ends behind its record.
  Id cut_digest(ByteSpan path) const { return cut_key_.of(path); }

  // The key of one pack or document, for whose salt nobody else uses it. Costs a few microseconds.
  std::unique_ptr<const Aes256Gcm> pack_cipher(const Salt& salt) const;
  std::unique_ptr<const Aes256Gcm> document_cipher(const Salt& salt) const;

 private:
  struct Derived;  // the keys that the constructor needs, and which then go
  RepositoryKeys(ByteSpan secret, const Derived& derived);

  SecretKey data_key_;
  SecretKey document_key_;
  const HmacSha256 id_key_;
  const HmacSha256 cut_key_;
  GearTable gear_;
  std::string fingerprint_;
};

using RepositoryKeysPtr = std::shared_ptr<const RepositoryKeys>;

inline Suite suite_of(const RepositoryKeys* keys) { return keys == nullptr ? Suite::kNone : Suite::kAes256Gcm; }

// The suite of every segment of a repository with these keys. Without any the repository may still be an encrypted one,
// of which only what needs no key is asked: none then.
inline std::optional<Suite> known_suite_of(const RepositoryKeys* keys) {
  return keys == nullptr ? std::nullopt : std::optional(suite_of(keys));
}

// The id of a chunk, or of a map node, with these plain bytes.
Id chunk_id(const RepositoryKeys* keys, ByteSpan plain);
const GearTable& gear_table(const RepositoryKeys* keys);
Id cut_digest(const RepositoryKeys* keys, ByteSpan path);

}  // namespace vzv
