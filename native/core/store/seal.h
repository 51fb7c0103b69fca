// Between the codec and the file: what a pack's suite does to encoded bytes (docs/format.md, Encryption).
//
// Suite 0 leaves them as they are. Suite 1 encrypts them under a key that is the pack's own, with the chunk's ordinal
// as nonce, and binds them to the pack's header and to what its table says of them.
//
// Why no nonce is used twice under a key: a pack's key follows from its salt, 32 random bytes that are drawn when the
// pack is begun and used for nothing else; within a pack each ordinal is sealed once, since a writer appends only and
// one that fails gives its pack up. Two packs have one salt only by a chance of 1 in 2^256.
//
// Thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "core/store/chunk_type.h"
#include "core/store/codec.h"
#include "core/store/pack_format.h"
#include "core/store/repository_keys.h"

namespace vzv {

// What a sealed chunk is bound to, beside its pack.
struct SealContext {
  std::uint32_t ordinal;
  const Id& id;
  ChunkType type;
  Codec codec;
  std::uint32_t plain_bytes;
};

// Seals and opens the chunks of one pack. The pack's key is derived once.
class PackSeal {
 public:
  // `keys` are those of the repository, null where it is not encrypted. E_KEY_MISSING where the pack is encrypted and
  // there are none; E_SUITE_MISMATCH where it is not and there are: such a pack was not written by who has the key.
  static Result<std::unique_ptr<const PackSeal>> create(const PackHeader& header, const RepositoryKeys* keys);

  // Turns encoded bytes into stored bytes. REQUIRES: no other call has this ordinal.
  Bytes seal(const SealContext& context, Bytes encoded) const;

  // Opens and decodes stored bytes, whose memory it uses, into `plain`, whose size is the plain length. E_CHUNK_DAMAGED
  // where they do not yield exactly that. Does not check the id: that is the caller's.
  Status open(const SealContext& context, std::span<std::uint8_t> stored, std::span<std::uint8_t> plain) const;

 private:
  Bytes associated(const SealContext& context) const;

  Bytes header_;                             // as it stands in the file
  std::unique_ptr<const Aes256Gcm> cipher_;  // null with suite 0
};

}  // namespace vzv
