#include "core/store/document.h"

#include "core/base/bytes.h"
#include "core/base/limits.h"
#include "core/base/sha256.h"
#include "core/store/codec.h"

namespace vzv {

namespace {

constexpr std::string_view kMagic = "VZVSEAL\n";
constexpr std::uint16_t kVersion = 1;
constexpr std::size_t kHeaderBytes = 56;
constexpr std::size_t kDigestBytes = 32;
// Documents are written once a backup and are small: better than a chunk's level costs nothing.
constexpr int kZstdLevel = 9;
// A document's key seals that document alone (its salt is random), so one nonce serves all.
constexpr Aes256Gcm::Nonce kNonce{};

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
    case DocumentKind::kSession:
      return "session document";
    case DocumentKind::kCondemned:
      return "list of condemned packs";
    case DocumentKind::kClaim:
      return "claim";
    case DocumentKind::kVerdict:
      return "verdict";
    case DocumentKind::kTombstone:
      return "tombstone";
    case DocumentKind::kCollected:
      return "record of a collection";
  }
  return "document";
}

std::string the(DocumentKind kind) { return "the " + std::string(name_of(kind)); }

Status damaged(DocumentKind kind, std::string_view what) {
  return {Code::E_SNAPSHOT_DAMAGED, the(kind) + " is damaged: " + std::string(what)};
}

struct Header {
  Suite suite = Suite::kNone;
  DocumentKind kind = DocumentKind::kSnapshot;
  Codec codec = Codec::kStored;
  std::uint32_t plain_bytes = 0;
  std::uint32_t stored_bytes = 0;
  Salt salt{};
};

Bytes encode_header(const Header& header) {
  Bytes bytes;
  bytes.reserve(kHeaderBytes);
  ByteWriter writer(bytes);
  writer.magic(kMagic);
  writer.u16(kVersion);
  writer.u16(static_cast<std::uint16_t>(header.suite));
  writer.u8(static_cast<std::uint8_t>(header.kind));
  writer.u8(static_cast<std::uint8_t>(header.codec));
  writer.zeroes(2);
  writer.u32(header.plain_bytes);
  writer.u32(header.stored_bytes);
  writer.bytes(header.salt);
  return bytes;
}

// REQUIRES: `body` is whole by its digest, and begins with the magic.
Result<Header> decode_header(DocumentKind kind, ByteSpan body) {
  ByteReader reader(body);
  (void)reader.magic(kMagic);
  if (reader.u16() != kVersion) return damaged(kind, "its version is unknown");
  const std::uint16_t suite = reader.u16();
  if (!suite_known(suite)) return Status(Code::E_SUITE_UNKNOWN, the(kind) + ": " + describe_unknown_suite(suite));
  if (reader.u8() != static_cast<std::uint8_t>(kind)) return damaged(kind, "it is a document of another kind");
  const std::uint8_t codec = reader.u8();
  if (!codec_known(codec)) return damaged(kind, "its codec is unknown");
  if (!reader.zeroes(2)) return damaged(kind, "a reserved field is not zero");
  Header header{static_cast<Suite>(suite), kind, static_cast<Codec>(codec), reader.u32(), reader.u32(), {}};
  if (header.plain_bytes > limits::kDocumentPlainMaxBytes || header.stored_bytes > limits::kDocumentStoredMaxBytes) {
    return damaged(kind, "it is longer than a document may be");
  }
  const ByteSpan salt = reader.bytes(header.salt.size());
  std::memcpy(header.salt.data(), salt.data(), salt.size());
  if (body.size() != kHeaderBytes + header.stored_bytes) return damaged(kind, "its length does not match");
  return header;
}

Suite expected_suite(DocumentKind kind, const RepositoryKeys* keys) {
  return is_encrypted_kind(kind) ? suite_of(keys) : Suite::kNone;
}

Status check_suite(const Header& header, const RepositoryKeys* keys) {
  if (header.suite == expected_suite(header.kind, keys)) return {};
  if (header.suite == Suite::kNone) {
    return {Code::E_SUITE_MISMATCH, the(header.kind) + " is not encrypted, though the repository is"};
  }
  if (!is_encrypted_kind(header.kind)) {
    return {Code::E_SUITE_MISMATCH, the(header.kind) + " is encrypted, which none of its kind is"};
  }
  return {Code::E_KEY_MISSING, the(header.kind) + " is encrypted, and there is no key"};
}

// What the tag covers beside the document's bytes.
Bytes associated(ByteSpan header, std::string_view name) {
  Bytes bytes(header.begin(), header.end());
  ByteWriter(bytes).bytes(as_bytes(name));
  return bytes;
}

}  // namespace

Result<Bytes> seal_document(DocumentKind kind, std::string_view name, ByteSpan plain, const RepositoryKeys* keys) {
  if (plain.size() > limits::kDocumentPlainMaxBytes) {
    return Status(Code::E_ARGUMENT_INVALID,
                  the(kind) + " has " + std::to_string(plain.size()) + " bytes, more than a document may have");
  }
  Result<EncodedChunk> encoded = encode(plain, kZstdLevel);
  if (!encoded.ok()) return encoded.status();
  const Suite suite = expected_suite(kind, keys);
  const std::size_t tag_bytes = suite == Suite::kNone ? 0 : Aes256Gcm::kTagBytes;
  const Header header{suite,
                      kind,
                      encoded->codec,
                      static_cast<std::uint32_t>(plain.size()),
                      static_cast<std::uint32_t>(encoded->bytes.size() + tag_bytes),
                      new_salt()};
  Bytes sealed = encode_header(header);
  if (suite != Suite::kNone) {
    keys->document_cipher(header.salt)->seal(kNonce, associated(sealed, name), encoded->bytes);
  }
  ByteWriter writer(sealed);
  writer.bytes(encoded->bytes);
  writer.id(sha256(sealed));
  return sealed;
}

Result<Bytes> open_document(DocumentKind kind, std::string_view name, ByteSpan sealed, const RepositoryKeys* keys) {
  if (!ByteReader(sealed).magic(kMagic)) return damaged(kind, "it does not begin as a document");
  if (sealed.size() < kHeaderBytes + kDigestBytes) return damaged(kind, "it is cut short");
  if (sealed.size() > kHeaderBytes + limits::kDocumentStoredMaxBytes + kDigestBytes) {
    return damaged(kind, "it is longer than a document may be");
  }
  // The digest first: a flipped bit is then called one, whichever field it hit.
  const ByteSpan body = sealed.first(sealed.size() - kDigestBytes);
  const Id digest = ByteReader(sealed.last(kDigestBytes)).id();
  if (sha256(body) != digest) return damaged(kind, "its digest does not match");
  const Result<Header> header = decode_header(kind, body);
  if (!header.ok()) return header.status();
  VZV_TRY(check_suite(*header, keys));

  ByteSpan encoded = body.subspan(kHeaderBytes);
  Bytes opened;
  if (header->suite != Suite::kNone) {
    opened.assign(encoded.begin(), encoded.end());
    const auto bytes =
        keys->document_cipher(header->salt)->open(kNonce, associated(body.first(kHeaderBytes), name), opened);
    if (!bytes) return damaged(kind, "it is not what was sealed as " + std::string(name) + " with this key");
    encoded = *bytes;
  }
  Bytes plain(header->plain_bytes);
  const Status status = decode(header->codec, encoded, plain);
  if (!status.ok()) return damaged(kind, status.message());
  return plain;
}

}  // namespace vzv
