#include "core/store/seal.h"

#include "core/base/bytes.h"
#include "core/base/file.h"

namespace vzv {

namespace {

// The ordinal as a number of 96 bits, little-endian.
Aes256Gcm::Nonce nonce_of(std::uint32_t ordinal) {
  Aes256Gcm::Nonce nonce{};
  for (unsigned i = 0; i < 4; ++i) nonce[i] = static_cast<std::uint8_t>(ordinal >> (8 * i));
  return nonce;
}

}  // namespace

Salt new_salt() {
  Salt salt;
  random_bytes(salt);
  return salt;
}

Result<std::unique_ptr<const PackSeal>> PackSeal::create(const PackHeader& header, const RepositoryKeys* keys) {
  if (header.suite != Suite::kNone && keys == nullptr) {
    return Status(Code::E_KEY_MISSING, "it is encrypted, and there is no key");
  }
  if (header.suite == Suite::kNone && keys != nullptr) {
    return Status(Code::E_SUITE_MISMATCH, "it is not encrypted, though the repository is");
  }
  auto seal = std::make_unique<PackSeal>();
  seal->header_ = encode_pack_header(header);
  if (keys != nullptr) seal->cipher_ = keys->pack_cipher(header.salt);
  return std::unique_ptr<const PackSeal>(std::move(seal));
}

Bytes PackSeal::associated(const SealContext& context) const {
  Bytes bytes = header_;
  ByteWriter writer(bytes);
  writer.u32(context.ordinal);
  writer.id(context.id);
  writer.u8(static_cast<std::uint8_t>(context.type));
  writer.u8(static_cast<std::uint8_t>(context.codec));
  writer.zeroes(2);
  writer.u32(context.plain_bytes);
  return bytes;
}

Bytes PackSeal::seal(const SealContext& context, Bytes encoded) const {
  if (cipher_ != nullptr) cipher_->seal(nonce_of(context.ordinal), associated(context), encoded);
  return encoded;
}

Status PackSeal::open(const SealContext& context, std::span<std::uint8_t> stored, std::span<std::uint8_t> plain) const {
  if (cipher_ == nullptr) return decode(context.codec, stored, plain);
  const auto encoded = cipher_->open(nonce_of(context.ordinal), associated(context), stored);
  if (!encoded) {
    return {Code::E_CHUNK_DAMAGED, "it is not what was sealed there: its bytes, its place or its table were changed"};
  }
  return decode(context.codec, *encoded, plain);
}

}  // namespace vzv
