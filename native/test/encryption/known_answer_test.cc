// Keys, ids and sealed bytes against values that other programs computed: RFC 4231, RFC 5869, NIST's vectors, and the
// worked example of docs/format.md, which was made with node:crypto.
#include "core/base/bytes.h"
#include "core/store/document.h"
#include "core/store/seal.h"
#include "test/store/store_fixture.h"

using namespace vzv;
using namespace vzv::test;

namespace {

Bytes hex(std::string_view text) {
  Bytes bytes;
  for (std::size_t i = 0; i + 1 < text.size(); i += 2) {
    bytes.push_back(static_cast<std::uint8_t>(std::stoul(std::string(text.substr(i, 2)), nullptr, 16)));
  }
  return bytes;
}

std::string to_hex(ByteSpan bytes) {
  std::string text;
  for (const std::uint8_t byte : bytes) {
    text += "0123456789abcdef"[byte >> 4];
    text += "0123456789abcdef"[byte & 15];
  }
  return text;
}

std::string derived(ByteSpan key, ByteSpan salt, std::string_view info) {
  SecretKey out;
  derive_key(key, salt, info, out);
  return to_hex(out.bytes());
}

std::string_view as_text(const Bytes& bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

Bytes counting(std::uint8_t from) {
  Bytes bytes(32);
  for (std::uint8_t i = 0; i < 32; ++i) bytes[i] = static_cast<std::uint8_t>(from + i);
  return bytes;
}

// The example's secret is 00 01 … 1f, its salt a0 a1 … bf.
RepositoryKeysPtr example_keys() { return must(RepositoryKeys::load(counting(0))); }
Salt example_salt() {
  Salt salt;
  const Bytes bytes = counting(0xa0);
  std::copy(bytes.begin(), bytes.end(), salt.begin());
  return salt;
}

}  // namespace

TEST_CASE("HMAC-SHA-256 is that of RFC 4231") {
  const HmacSha256 jefe(as_bytes("Jefe"));
  for (int i = 0; i < 2; ++i) {
    CHECK(jefe.of(as_bytes("what do ya want for nothing?")).hex() ==
          "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  }
  CHECK(HmacSha256(Bytes(131, 0xaa)).of(as_bytes("Test Using Larger Than Block-Size Key - Hash Key First")).hex() ==
        "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

TEST_CASE("HKDF-SHA-256 is that of RFC 5869") {
  const Bytes key(22, 0x0b);
  const Bytes info = hex("f0f1f2f3f4f5f6f7f8f9");
  CHECK(derived(key, hex("000102030405060708090a0b0c"), as_text(info)) ==
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf");
  CHECK(derived(key, {}, "") == "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d");
}

TEST_CASE("AES-256-GCM is that of NIST's vectors, and opens nothing else") {
  // McGrew and Viega, The Galois/Counter Mode of Operation, test cases 14 and 16.
  Aes256Gcm zero;
  Bytes bytes(16);
  zero.seal({}, {}, bytes);
  CHECK(to_hex(bytes) == "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919");

  Aes256Gcm cipher;
  const Bytes key = hex("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308");
  std::copy(key.begin(), key.end(), cipher.key().fill().begin());
  Aes256Gcm::Nonce nonce;
  const Bytes nonce_bytes = hex("cafebabefacedbaddecaf888");
  std::copy(nonce_bytes.begin(), nonce_bytes.end(), nonce.begin());
  const Bytes associated = hex("feedfacedeadbeeffeedfacedeadbeefabaddad2");
  const Bytes plain = hex(
      "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de6"
      "57ba637b39");
  Bytes sealed = plain;
  cipher.seal(nonce, associated, sealed);
  CHECK(
      to_hex(sealed) ==
      "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0"
      "abcc9f66276fc6ece0f4e1768cddf8853bb2d551b");

  const auto refused = [&](const Aes256Gcm::Nonce& with, ByteSpan beside, Bytes bytes_of) {
    return !cipher.open(with, beside, bytes_of);
  };
  for (std::size_t at = 0; at < sealed.size(); ++at) {
    Bytes flipped = sealed;
    flipped[at] ^= 1;
    CHECK(refused(nonce, associated, flipped));
  }
  CHECK(refused(nonce, {}, sealed));
  CHECK(refused({}, associated, sealed));
  CHECK(refused(nonce, associated, Bytes(15)));
  const auto opened = cipher.open(nonce, associated, sealed);
  REQUIRE(opened);
  CHECK(Bytes(opened->begin(), opened->end()) == plain);
}

TEST_CASE("what follows from a repository's secret is what docs/format.md says") {
  const RepositoryKeysPtr keys = example_keys();
  CHECK(keys->fingerprint() == "83456f10b36410894c64fbbb30ab0c13");
  CHECK(chunk_id(keys.get(), as_bytes("vzvault")).hex() ==
        "9fdd87b65237279deb362973a2329961fd8ed807153ed87b66bebee63160e123");
  CHECK(gear_table(keys.get())[0] == 0x7828542187314ff0);
  CHECK(gear_table(keys.get())[255] == 0x478dec70d42a9337);
  CHECK(cut_digest(keys.get(), as_bytes("etc/passwd")).hex() ==
        "fb87726abc78e1ba1b827306eb9339d5a94fb3bc95aa40b27ff4f96fd3381b34");
  // Without keys it is what anybody computes.
  CHECK(chunk_id(nullptr, as_bytes("vzvault")) == sha256(as_bytes("vzvault")));
  CHECK(&gear_table(nullptr) == &gear_table());
  CHECK(cut_digest(nullptr, as_bytes("etc")) == sha256(as_bytes("etc")));
}

TEST_CASE("a chunk is sealed as the worked example of docs/format.md") {
  const PackHeader header{Suite::kAes256Gcm, example_salt()};
  CHECK(to_hex(encode_pack_header(header)) ==
        "565a565041434b0a0100010000000000a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebf");
  const RepositoryKeysPtr keys = example_keys();
  const auto seal = must(PackSeal::create(header, keys.get()));
  const ByteSpan plain = as_bytes("vzvault");
  const Id id = chunk_id(keys.get(), plain);
  const SealContext context{1, id, ChunkType::kData, Codec::kStored, 7};
  Bytes stored = seal->seal(context, Bytes(plain.begin(), plain.end()));
  CHECK(to_hex(stored) == "1d7556e02af5df30a25c0c9a536c3ab693c5c1acf36f01");
  Bytes opened(7);
  must(seal->open(context, stored, opened));
  CHECK(as_text(opened) == "vzvault");
}

TEST_CASE("a document is opened that was sealed as the worked example of docs/format.md") {
  const Bytes sealed = hex(
      "565a565345414c0a01000100020000000200000012000000a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebf"
      "bb1f99c32d48f415828dab7821e3d82089403bbebd97fb29aea9fe27f6eb346767cc5f0db5b8ee89f0ed650ea55f40b39858");
  const Bytes plain = must(
      open_document(DocumentKind::kNotes, "snapshots/qemu/100/20261122T041714Z/notes", sealed, example_keys().get()));
  CHECK(as_text(plain) == "hi");
}

TEST_CASE("a secret of another length is refused, a key of another fingerprint is E_KEY_WRONG") {
  for (const std::size_t length : {0, 31, 33}) {
    CHECK(RepositoryKeys::load(Bytes(length)).status().code() == Code::E_ARGUMENT_INVALID);
  }
  const RepositoryKeysPtr keys = keys_of(1);
  must(keys->check_fingerprint(keys->fingerprint()));
  const Status wrong = keys->check_fingerprint(keys_of(2)->fingerprint());
  CHECK(wrong.code() == Code::E_KEY_WRONG);
  CHECK(wrong.message().find(keys->fingerprint()) != std::string::npos);
}

TEST_CASE("one bit of a secret changes everything that follows from it") {
  const RepositoryKeysPtr one = keys_of(0), other = keys_of(1);
  const ByteSpan text = as_bytes("text");
  CHECK(one->fingerprint() != other->fingerprint());
  CHECK(one->chunk_id(text) != other->chunk_id(text));
  CHECK(one->cut_digest(text) != other->cut_digest(text));
  CHECK(one->chunk_id(text) != one->cut_digest(text));
  CHECK(one->gear() != other->gear());
}

TEST_CASE("keys are wiped when they go") {
  alignas(SecretKey) std::array<std::uint8_t, sizeof(SecretKey)> memory{};
  auto* const key = new (memory.data()) SecretKey;
  derive_key(as_bytes("key"), {}, "info", *key);
  CHECK(memory != std::array<std::uint8_t, sizeof(SecretKey)>{});
  key->~SecretKey();
  CHECK(memory == std::array<std::uint8_t, sizeof(SecretKey)>{});
}
