// Documents of an encrypted repository: what is sealed comes back, and nothing that was altered, moved or made
// elsewhere does.
#include <set>

#include "core/base/bytes.h"
#include "core/store/document.h"
#include "test/store/store_fixture.h"

using namespace vzv;
using namespace vzv::test;

namespace {

constexpr std::string_view kDirectory = "snapshots/qemu/100/20261122T041714Z/";
const RepositoryKeysPtr kKeys = keys_of(7);

std::string name_in(std::string_view directory, DocumentKind kind) {
  constexpr std::array kNames{"snapshot", "notes", "log", "verify-state"};
  return std::string(directory) + kNames.at(static_cast<std::size_t>(kind) - 1);
}
std::string name_of(DocumentKind kind) { return name_in(kDirectory, kind); }

constexpr std::array kEncrypted{DocumentKind::kSnapshot, DocumentKind::kNotes, DocumentKind::kLog,
                                DocumentKind::kVerifyState};
constexpr std::array kPlain{DocumentKind::kSession, DocumentKind::kCondemned, DocumentKind::kClaim,
                            DocumentKind::kVerdict, DocumentKind::kTombstone, DocumentKind::kCollected};

Bytes sealed_of(DocumentKind kind, ByteSpan plain) {
  return must(seal_document(kind, name_of(kind), plain, kKeys.get()));
}

Code code_of(DocumentKind kind, std::string_view name, ByteSpan sealed, const RepositoryKeysPtr& keys) {
  return open_document(kind, name, sealed, keys.get()).status().code();
}

// With a digest that fits: what somebody writes who has no key, but knows the format.
Bytes with_right_digest(Bytes sealed) {
  sealed.resize(sealed.size() - 32);
  const Id digest = sha256(sealed);
  ByteWriter(sealed).id(digest);
  return sealed;
}

bool contains(const Bytes& bytes, std::string_view text) {
  return std::search(bytes.begin(), bytes.end(), text.begin(), text.end()) != bytes.end();
}

}  // namespace

TEST_CASE("an encrypted document comes back as it was, of every kind, and shows nothing of its text") {
  for (const DocumentKind kind : kEncrypted) {
    for (const std::size_t length : {std::size_t{0}, std::size_t{1}, std::size_t{100'000}}) {
      for (const Bytes& plain : {plain_chunk(1, length).bytes, random_chunk(1, length).bytes}) {
        const Bytes sealed = sealed_of(kind, plain);
        CHECK(sealed[10] == 1);
        CHECK(must(open_document(kind, name_of(kind), sealed, kKeys.get())) == plain);
      }
    }
  }
  CHECK_FALSE(contains(sealed_of(DocumentKind::kNotes, as_bytes("a secret")), "secret"));
}

TEST_CASE("documents that writers and collectors leave each other are never encrypted") {
  for (const DocumentKind kind : kPlain) {
    const Bytes sealed = must(seal_document(kind, "sessions/x", as_bytes("{}"), kKeys.get()));
    CHECK(sealed[10] == 0);
    CHECK(contains(sealed, "{}"));
    for (const RepositoryKeysPtr& keys : {kKeys, RepositoryKeysPtr()}) {
      CHECK(must(open_document(kind, "wherever it lies", sealed, keys.get())).size() == 2);
    }
  }
}

TEST_CASE("an encrypted document that was changed or cut is refused, also with a digest that fits") {
  for (const DocumentKind kind : {DocumentKind::kSnapshot, DocumentKind::kNotes}) {
    for (const std::size_t length : {3, 500}) {
      const Bytes sealed = sealed_of(kind, Bytes(length, 'v'));
      for_each_damage(sealed, [&](const Bytes& damaged, std::size_t at, bool cut) {
        CHECK(code_of(kind, name_of(kind), damaged, kKeys) == Code::E_SNAPSHOT_DAMAGED);
        if (damaged.size() < 32 || (!cut && at >= sealed.size() - 32)) return;
        const Code code = code_of(kind, name_of(kind), with_right_digest(damaged), kKeys);
        if (!cut && (at == 10 || at == 11)) {
          CHECK((code == Code::E_SUITE_MISMATCH || code == Code::E_SUITE_UNKNOWN));
        } else {
          CHECK(code == Code::E_SNAPSHOT_DAMAGED);
        }
      });
    }
  }
}

TEST_CASE("an encrypted document is refused under any other name") {
  const Bytes sealed = sealed_of(DocumentKind::kSnapshot, as_bytes("{}"));
  for (const std::string_view directory :
       {"snapshots/qemu/100/20261122T041715Z/", "snapshots/qemu/101/20261122T041714Z/",
        "snapshots/lxc/100/20261122T041714Z/", ""}) {
    CHECK(code_of(DocumentKind::kSnapshot, name_in(directory, DocumentKind::kSnapshot), sealed, kKeys) ==
          Code::E_SNAPSHOT_DAMAGED);
  }
  const Status status = open_document(DocumentKind::kSnapshot, "elsewhere", sealed, kKeys.get()).status();
  CHECK(status.message().find("elsewhere") != std::string::npos);
}

TEST_CASE("an encrypted document is refused as one of another kind, also where its header says so") {
  for (const DocumentKind from : kEncrypted) {
    for (const DocumentKind to : kEncrypted) {
      if (from == to) continue;
      Bytes sealed = sealed_of(from, as_bytes("{}"));
      CHECK(code_of(to, name_of(to), sealed, kKeys) == Code::E_SNAPSHOT_DAMAGED);
      sealed[12] = static_cast<std::uint8_t>(to);
      CHECK(code_of(to, name_of(to), with_right_digest(sealed), kKeys) == Code::E_SNAPSHOT_DAMAGED);
      CHECK(code_of(to, name_of(from), with_right_digest(sealed), kKeys) == Code::E_SNAPSHOT_DAMAGED);
    }
  }
}

TEST_CASE("parts of two encrypted documents do not make a third") {
  const Bytes one = sealed_of(DocumentKind::kNotes, as_bytes("one")),
              two = sealed_of(DocumentKind::kNotes, as_bytes("two"));
  REQUIRE(one.size() == two.size());
  // The header (with the salt) of one, the bytes of the other, and every other cut.
  for (std::size_t at = 25; at < one.size() - 32; ++at) {
    Bytes spliced(one.begin(), one.begin() + static_cast<std::ptrdiff_t>(at));
    spliced.insert(spliced.end(), two.begin() + static_cast<std::ptrdiff_t>(at), two.end());
    CHECK(code_of(DocumentKind::kNotes, name_of(DocumentKind::kNotes), with_right_digest(spliced), kKeys) ==
          Code::E_SNAPSHOT_DAMAGED);
  }
}

TEST_CASE("an encrypted document needs the key that it was sealed with") {
  for (const DocumentKind kind : kEncrypted) {
    const Bytes sealed = sealed_of(kind, as_bytes("{}"));
    CHECK(code_of(kind, name_of(kind), sealed, nullptr) == Code::E_KEY_MISSING);
    CHECK(code_of(kind, name_of(kind), sealed, keys_of(8)) == Code::E_SNAPSHOT_DAMAGED);
  }
}

TEST_CASE("a document that is not encrypted is refused in an encrypted repository, and one that never is, encrypted") {
  for (const DocumentKind kind : kEncrypted) {
    const Bytes plain = must(seal_document(kind, name_of(kind), as_bytes("{}"), nullptr));
    CHECK(code_of(kind, name_of(kind), plain, kKeys) == Code::E_SUITE_MISMATCH);
  }
  Bytes session = must(seal_document(DocumentKind::kSession, "sessions/x", as_bytes("{}"), nullptr));
  session[10] = 1;
  for (const RepositoryKeysPtr& keys : {kKeys, RepositoryKeysPtr()}) {
    CHECK(code_of(DocumentKind::kSession, "sessions/x", with_right_digest(session), keys) == Code::E_SUITE_MISMATCH);
  }
}

TEST_CASE("no two documents share a key: their salts differ, and so do all their bytes") {
  std::set<Bytes> salts;
  std::set<Bytes> stored;
  for (int i = 0; i < 100; ++i) {
    const Bytes sealed = sealed_of(DocumentKind::kNotes, as_bytes("the same text"));
    salts.insert(Bytes(sealed.begin() + 24, sealed.begin() + 56));
    stored.insert(Bytes(sealed.begin() + 56, sealed.end() - 32));
  }
  CHECK(salts.size() == 100);
  CHECK(stored.size() == 100);
}
