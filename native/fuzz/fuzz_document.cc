// Documents, with a key and without one. A digest guards every byte of one, so each input is opened as it is and once
// more with a digest that fits it. With the key nothing opens but what was sealed with it: the samples, unchanged.
#include <algorithm>

#include "core/base/bytes.h"
#include "core/base/limits.h"
#include "core/base/sha256.h"
#include "core/store/document.h"
#include "fuzz/fuzz_driver.h"

using namespace vzv;

namespace {

constexpr DocumentKind kKinds[] = {DocumentKind::kSnapshot, DocumentKind::kNotes, DocumentKind::kLog,
                                   DocumentKind::kSession};
constexpr std::string_view kName = "snapshots/qemu/100/20261122T041714Z/snapshot";

const RepositoryKeys* keys() {
  static const RepositoryKeysPtr loaded = RepositoryKeys::load(Bytes(32, 0x5a)).value();
  return loaded.get();
}

// What the samples hold: one byte, repeated.
bool is_sample(ByteSpan plain) {
  return std::all_of(plain.begin(), plain.end(), [](std::uint8_t byte) { return byte == 'v'; });
}

void open(DocumentKind kind, ByteSpan bytes, const RepositoryKeys* with) {
  const Result<Bytes> plain = open_document(kind, kName, bytes, with);
  if (!plain.ok()) {
    const Code code = plain.status().code();
    FUZZ_CHECK(code == Code::E_SNAPSHOT_DAMAGED || code == Code::E_SUITE_UNKNOWN || code == Code::E_SUITE_MISMATCH ||
               (code == Code::E_KEY_MISSING && with == nullptr));
    return;
  }
  FUZZ_CHECK(plain.value().size() <= limits::kDocumentPlainMaxBytes);
  FUZZ_CHECK(with == nullptr || !is_encrypted_kind(kind) || is_sample(plain.value()));
  const Result<Bytes> sealed = seal_document(kind, kName, plain.value(), with);
  FUZZ_CHECK(sealed.ok());
  const Result<Bytes> again = open_document(kind, kName, sealed.value(), with);
  FUZZ_CHECK(again.ok() && again.value() == plain.value());
}

void open(ByteSpan bytes) {
  for (const DocumentKind kind : kKinds) {
    open(kind, bytes, nullptr);
    open(kind, bytes, keys());
  }
}

}  // namespace

std::vector<Bytes> fuzz::samples() {
  std::vector<Bytes> all;
  for (const DocumentKind kind : kKinds) {
    for (const std::size_t length : {0, 2, 700}) {
      for (const RepositoryKeys* with : {static_cast<const RepositoryKeys*>(nullptr), keys()}) {
        all.push_back(seal_document(kind, kName, Bytes(length, 'v'), with).value());
      }
    }
  }
  return all;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteSpan input(data, size);
  open(input);
  if (size < 32) return 0;
  Bytes repaired(input.begin(), input.end() - 32);
  const Id digest = sha256(repaired);
  ByteWriter(repaired).id(digest);
  open(repaired);
  return 0;
}
