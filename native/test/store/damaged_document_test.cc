#include "core/base/bytes.h"
#include "core/store/document.h"
#include "test/store/store_fixture.h"

using namespace vzv;
using namespace vzv::test;

namespace {

constexpr std::string_view kName = "snapshots/qemu/100/20261122T041714Z/notes";

}  // namespace

TEST_CASE("a document with any byte changed or cut short is E_SNAPSHOT_DAMAGED") {
  for (const DocumentKind kind : {DocumentKind::kSnapshot, DocumentKind::kNotes}) {
    for (const std::size_t length : {3, 500}) {
      const Bytes sealed = must(seal_document(kind, kName, Bytes(length, 'v'), nullptr));
      for_each_damage(sealed, [&](const Bytes& damaged, std::size_t, bool) {
        CHECK(open_document(kind, kName, damaged, nullptr).status().code() == Code::E_SNAPSHOT_DAMAGED);
      });
    }
  }
}

TEST_CASE("a document with more behind it is E_SNAPSHOT_DAMAGED") {
  Bytes sealed = must(seal_document(DocumentKind::kLog, kName, as_bytes("text"), nullptr));
  sealed.push_back(0);
  CHECK(open_document(DocumentKind::kLog, kName, sealed, nullptr).status().code() == Code::E_SNAPSHOT_DAMAGED);
}
