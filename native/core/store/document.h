// Sealed small files (docs/format.md, Document): the parts of a snapshot, and what writers and collectors of a shared
// repository tell each other.
//
// The parts of a snapshot are sealed with the repository's suite, and bound to the name that they lie under: one that
// was copied to another snapshot, or is another part, is refused. The rest must be readable by who has no key and is
// never encrypted.
//
// Pure and thread-safe. open_document() takes bytes of any origin.
#pragma once

#include <cstdint>
#include <string_view>

#include "core/base/id.h"
#include "core/base/status.h"
#include "core/store/repository_keys.h"

namespace vzv {

enum class DocumentKind : std::uint8_t {
  kSnapshot = 1,
  kNotes = 2,
  kLog = 3,
  kVerifyState = 4,
  kSession = 5,
  kCondemned = 6,
  kClaim = 7,
  kVerdict = 8,
  kTombstone = 9,
  kCollected = 10,
};

// Whether documents of this kind are encrypted where the repository is.
constexpr bool is_encrypted_kind(DocumentKind kind) { return kind <= DocumentKind::kVerifyState; }

// `name` is that of the file in the repository, such as "snapshots/qemu/100/20261122T041714Z/notes". `keys` are the
// repository's, null where it is not encrypted. E_ARGUMENT_INVALID where `plain` is longer than the format allows.
Result<Bytes> seal_document(DocumentKind kind, std::string_view name, ByteSpan plain, const RepositoryKeys* keys);

// E_SNAPSHOT_DAMAGED with what is wrong (of all kinds), E_SUITE_UNKNOWN; E_KEY_MISSING where it is encrypted and there
// are no keys, E_SUITE_MISMATCH where it is not encrypted but should be, or the other way round.
Result<Bytes> open_document(DocumentKind kind, std::string_view name, ByteSpan sealed, const RepositoryKeys* keys);

}  // namespace vzv
