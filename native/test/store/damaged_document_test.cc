#include "core/base/bytes.h"
#include "core/store/document.h"
#include "test/store/store_fixture.h"

using namespace vzv;
using namespace vzv::test;

TEST_CASE("a document with any byte changed or cut short is E_SNAPSHOT_DAMAGED") {
  for (const DocumentKind kind : {DocumentKind::kSnapshot, DocumentKind::kNotes}) {
    for (const std::size_t length : {3, 500}) {
      const Bytes sealed = must(seal_document(kind, Bytes(length, 'v')));
      for_each_damage(sealed, [&](const Bytes& damaged, std::size_t, bool) {
        CHECK(open_document(kind, damaged).status().code() == Code::E_SNAPSHOT_DAMAGED);
      });
    }
  }
}

TEST_CASE("a document with more behind it is E_SNAPSHOT_DAMAGED") {
  Bytes sealed = must(seal_document(DocumentKind::kLog, as_bytes("text")));
  sealed.push_back(0);
  CHECK(open_document(DocumentKind::kLog, sealed).status().code() == Code::E_SNAPSHOT_DAMAGED);
}
