// Documents. A digest guards every byte of one, so each input is opened as it is and once more with a digest that fits
// it.
#include "core/base/bytes.h"
#include "core/base/limits.h"
#include "core/base/sha256.h"
#include "core/store/document.h"
#include "fuzz/fuzz_driver.h"

using namespace vzv;

namespace {

constexpr DocumentKind kKinds[] = {DocumentKind::kSnapshot, DocumentKind::kNotes, DocumentKind::kLog};

void open(DocumentKind kind, ByteSpan bytes) {
  const Result<Bytes> plain = open_document(kind, bytes);
  if (!plain.ok()) {
    const Code code = plain.status().code();
    FUZZ_CHECK(code == Code::E_SNAPSHOT_DAMAGED || code == Code::E_SUITE_UNKNOWN);
    return;
  }
  FUZZ_CHECK(plain.value().size() <= limits::kDocumentPlainMaxBytes);
  const Result<Bytes> sealed = seal_document(kind, plain.value());
  FUZZ_CHECK(sealed.ok());
  const Result<Bytes> again = open_document(kind, sealed.value());
  FUZZ_CHECK(again.ok() && again.value() == plain.value());
}

}  // namespace

std::vector<Bytes> fuzz::samples() {
  std::vector<Bytes> all;
  for (const DocumentKind kind : kKinds) {
    for (const std::size_t length : {0, 2, 700}) all.push_back(seal_document(kind, Bytes(length, 'v')).value());
  }
  return all;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteSpan input(data, size);
  for (const DocumentKind kind : kKinds) open(kind, input);
  if (size < 32) return 0;
  Bytes repaired(input.begin(), input.end() - 32);
  const Id digest = sha256(repaired);
  ByteWriter(repaired).id(digest);
  for (const DocumentKind kind : kKinds) open(kind, repaired);
  return 0;
}
