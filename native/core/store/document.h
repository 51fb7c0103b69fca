// Sealed small files: snapshots, notes, logs, what verification found (docs/format.md, Document).
//
// Pure and thread-safe. open_document() takes bytes of any origin.
#pragma once

#include <cstdint>

#include "core/base/id.h"
#include "core/base/status.h"

namespace vzv {

enum class DocumentKind : std::uint8_t { kSnapshot = 1, kNotes = 2, kLog = 3, kVerifyState = 4 };

// E_ARGUMENT_INVALID where `plain` is longer than the format allows.
Result<Bytes> seal_document(DocumentKind kind, ByteSpan plain);

// E_SNAPSHOT_DAMAGED with what is wrong (of all kinds: they are parts of a snapshot), E_SUITE_UNKNOWN.
Result<Bytes> open_document(DocumentKind kind, ByteSpan sealed);

}  // namespace vzv
