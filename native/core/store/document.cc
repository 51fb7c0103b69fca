#include "core/store/document.h"

#include "core/base/bytes.h"
#include "core/base/limits.h"
#include "core/base/sha256.h"
#include "core/store/codec.h"
#include "core/store/seal.h"

namespace vzv {

namespace {

constexpr std::string_view kMagic = "VZVSEAL\n";
constexpr std::uint16_t kVersion = 1;
constexpr std::size_t kHeaderBytes = 56;
constexpr std::size_t kDigestBytes = 32;
// Documents are written once a backup and are small: better than a chunk's level costs nothing.
constexpr int kZstdLevel = 9;

std::string_view name_of(DocumentKind kind) {
  switch (kind) {
    case DocumentKind::kSnapshot:
      return "snapshot document";
    case DocumentKind::kNotes:
      return "notes";
    case DocumentKind::kLog:
      return "log";
    case DocumentKind::kVerifyState:
      return "verify state";
  }
  return "document";
}

Status damaged(DocumentKind kind, std::string_view what) {
  return {Code::E_SNAPSHOT_DAMAGED, "the " + std::string(name_of(kind)) + " is damaged: " + std::string(what)};
}

}  // namespace

Result<Bytes> seal_document(DocumentKind kind, ByteSpan plain) {
  if (plain.size() > limits::kDocumentPlainMaxBytes) {
    return Status(Code::E_ARGUMENT_INVALID, "the " + std::string(name_of(kind)) + " has " +
                                                std::to_string(plain.size()) + " bytes, more than a document may have");
  }
  Result<EncodedChunk> encoded = encode(plain, kZstdLevel);
  if (!encoded.ok()) return encoded.status();
  Bytes sealed;
  sealed.reserve(kHeaderBytes + encoded->bytes.size() + kDigestBytes);
  ByteWriter writer(sealed);
  writer.magic(kMagic);
  writer.u16(kVersion);
  writer.u16(static_cast<std::uint16_t>(Suite::kNone));
  writer.u8(static_cast<std::uint8_t>(kind));
  writer.u8(static_cast<std::uint8_t>(encoded->codec));
  writer.zeroes(2);
  writer.u32(static_cast<std::uint32_t>(plain.size()));
  writer.u32(static_cast<std::uint32_t>(encoded->bytes.size()));
  writer.bytes(new_salt());
  writer.bytes(encoded->bytes);
  writer.id(sha256(sealed));
  return sealed;
}

Result<Bytes> open_document(DocumentKind kind, ByteSpan sealed) {
  ByteReader reader(sealed);
  if (!reader.magic(kMagic)) return damaged(kind, "it does not begin as a document");
  if (sealed.size() < kHeaderBytes + kDigestBytes) return damaged(kind, "it is cut short");
  if (sealed.size() > kHeaderBytes + limits::kDocumentStoredMaxBytes + kDigestBytes) {
    return damaged(kind, "it is longer than a document may be");
  }
  // The digest first: a flipped bit is then called one, whichever field it hit.
  const ByteSpan body = sealed.first(sealed.size() - kDigestBytes);
  const Id digest = ByteReader(sealed.last(kDigestBytes)).id();
  if (sha256(body) != digest) return damaged(kind, "its digest does not match");

  if (reader.u16() != kVersion) return damaged(kind, "its version is unknown");
  const std::uint16_t suite = reader.u16();
  if (!suite_known(suite)) {
    return Status(Code::E_SUITE_UNKNOWN, "the " + std::string(name_of(kind)) + " uses suite " + std::to_string(suite));
  }
  if (reader.u8() != static_cast<std::uint8_t>(kind)) return damaged(kind, "it is a document of another kind");
  const std::uint8_t codec = reader.u8();
  if (!codec_known(codec)) return damaged(kind, "its codec is unknown");
  if (!reader.zeroes(2)) return damaged(kind, "a reserved field is not zero");
  const std::uint32_t plain_bytes = reader.u32();
  const std::uint32_t stored_bytes = reader.u32();
  if (plain_bytes > limits::kDocumentPlainMaxBytes || stored_bytes > limits::kDocumentStoredMaxBytes) {
    return damaged(kind, "it is longer than a document may be");
  }
  (void)reader.bytes(sizeof(Salt));
  if (body.size() != kHeaderBytes + stored_bytes) return damaged(kind, "its length does not match");

  Bytes plain(plain_bytes);
  const Status status = decode(static_cast<Codec>(codec), reader.bytes(stored_bytes), plain);
  if (!status.ok()) return damaged(kind, status.message());
  return plain;
}

}  // namespace vzv
