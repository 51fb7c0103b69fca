#include "core/store/document.h"

#include "core/base/bytes.h"
#include "core/base/limits.h"
#include "test/store/store_fixture.h"

using namespace vzv;
using namespace vzv::test;

namespace {

constexpr std::string_view kName = "snapshots/qemu/100/20261122T041714Z/notes";

Result<Bytes> seal_plain(DocumentKind kind, ByteSpan plain) { return seal_document(kind, kName, plain, nullptr); }
Result<Bytes> open_plain(DocumentKind kind, ByteSpan sealed) { return open_document(kind, kName, sealed, nullptr); }

}  // namespace

TEST_CASE("a document comes back as it was, of every kind") {
  for (const DocumentKind kind :
       {DocumentKind::kSnapshot, DocumentKind::kNotes, DocumentKind::kLog, DocumentKind::kVerifyState}) {
    for (const std::size_t length : {std::size_t{0}, std::size_t{1}, std::size_t{100'000}}) {
      const Bytes plain = plain_chunk(1, length).bytes;
      const Bytes sealed = must(seal_plain(kind, plain));
      CHECK(must(open_plain(kind, sealed)) == plain);
    }
  }
  const Bytes random = random_chunk(1, 100'000).bytes;
  CHECK(must(open_plain(DocumentKind::kLog, must(seal_plain(DocumentKind::kLog, random)))) == random);
}

TEST_CASE("a document lies in its file as docs/format.md draws it") {
  const Bytes sealed = must(seal_plain(DocumentKind::kNotes, as_bytes("hi")));
  REQUIRE(sealed.size() == 56 + 2 + 32);
  ByteReader reader(sealed);
  CHECK(reader.magic("VZVSEAL\n"));
  CHECK(reader.u16() == 1);  // version
  CHECK(reader.u16() == 0);  // suite
  CHECK(reader.u8() == 2);   // kind
  CHECK(reader.u8() == 0);   // codec: two bytes do not shrink
  CHECK(reader.u16() == 0);  // reserved
  CHECK(reader.u32() == 2);  // plain length
  CHECK(reader.u32() == 2);  // stored length
  CHECK_FALSE(reader.zeroes(32));
  CHECK(reader.magic("hi"));
  CHECK(reader.id() == sha256(ByteSpan(sealed).first(58)));
}

TEST_CASE("two documents of the same text have different salts") {
  CHECK(must(seal_plain(DocumentKind::kNotes, as_bytes("x"))) != must(seal_plain(DocumentKind::kNotes, as_bytes("x"))));
}

TEST_CASE("a document of another kind is refused") {
  const Bytes sealed = must(seal_plain(DocumentKind::kNotes, as_bytes("x")));
  CHECK(open_plain(DocumentKind::kSnapshot, sealed).status().code() == Code::E_SNAPSHOT_DAMAGED);
}

TEST_CASE("a document that is too long is refused") {
  CHECK(seal_plain(DocumentKind::kLog, Bytes(limits::kDocumentPlainMaxBytes)).ok());
  CHECK(seal_plain(DocumentKind::kLog, Bytes(limits::kDocumentPlainMaxBytes + 1)).status().code() ==
        Code::E_ARGUMENT_INVALID);
  CHECK(open_plain(DocumentKind::kLog, Bytes(limits::kDocumentStoredMaxBytes + 200)).status().code() ==
        Code::E_SNAPSHOT_DAMAGED);
}

namespace {

// The document with these bytes at that place and a digest that fits them.
Bytes forged(Bytes sealed, std::size_t at, ByteSpan bytes) {
  std::copy(bytes.begin(), bytes.end(), sealed.begin() + static_cast<std::ptrdiff_t>(at));
  sealed.resize(sealed.size() - 32);
  const Id digest = sha256(sealed);
  ByteWriter(sealed).id(digest);
  return sealed;
}

}  // namespace

TEST_CASE("a document whose digest is right but whose fields are not is refused") {
  const Bytes sealed = must(seal_plain(DocumentKind::kLog, Bytes(1000, 'v')));
  const auto code = [&](std::size_t at, const Bytes& bytes) {
    return open_plain(DocumentKind::kLog, forged(sealed, at, bytes)).status().code();
  };
  CHECK(code(0, {'V'}) == Code::kOk);
  CHECK(code(8, {2}) == Code::E_SNAPSHOT_DAMAGED);
  CHECK(code(10, {1}) == Code::E_KEY_MISSING);
  CHECK(code(10, {2}) == Code::E_SUITE_UNKNOWN);
  CHECK(code(12, {4}) == Code::E_SNAPSHOT_DAMAGED);
  CHECK(code(13, {2}) == Code::E_SNAPSHOT_DAMAGED);
  CHECK(code(14, {1}) == Code::E_SNAPSHOT_DAMAGED);
  CHECK(code(16, {1}) == Code::E_SNAPSHOT_DAMAGED);
  CHECK(code(16, {0xff, 0xff, 0xff, 0xff}) == Code::E_SNAPSHOT_DAMAGED);
  CHECK(code(20, {1}) == Code::E_SNAPSHOT_DAMAGED);
  CHECK(code(20, {0xff, 0xff, 0xff, 0xff}) == Code::E_SNAPSHOT_DAMAGED);
}
