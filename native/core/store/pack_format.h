// The bytes of a pack's header, table and trailer (docs/format.md, Pack).
//
// Decoders take bytes of any origin: they check every field before they rely on it, allocate in proportion to their
// input only, and answer E_PACK_DAMAGED (E_SUITE_UNKNOWN for a suite that this version does not know) with a message
// that says what is wrong and does not name the pack. All functions are pure and thread-safe.
#pragma once

#include <cstdint>
#include <vector>

#include "core/base/id.h"
#include "core/base/status.h"
#include "core/store/chunk_type.h"
#include "core/store/codec.h"
#include "core/store/suite.h"

namespace vzv {

inline constexpr std::uint32_t kPackHeaderBytes = 48;
inline constexpr std::uint32_t kPackEntryBytes = 52;
inline constexpr std::uint32_t kPackTrailerBytes = 48;

struct PackHeader {
  Suite suite = Suite::kNone;
  Salt salt{};
};

// Its position in the table is the chunk's ordinal.
struct PackEntry {
  Id id;
  ChunkType type;
  Codec codec;
  std::uint32_t stored_bytes;
  std::uint32_t plain_bytes;
  std::uint64_t offset;  // in the file

  bool operator==(const PackEntry&) const = default;
};

struct PackTrailer {
  std::uint32_t entries;
  std::uint32_t table_bytes;
  Id digest;  // SHA-256 of header, table and the first 8 bytes of the trailer
};

Bytes encode_pack_header(const PackHeader& header);
// Table and trailer. `header` is what encode_pack_header answered. REQUIRES: 1 … kPackEntriesMax entries.
Bytes encode_pack_tail(ByteSpan header, const std::vector<PackEntry>& entries);

Result<PackHeader> decode_pack_header(ByteSpan header);
// `file_bytes` is the size of the pack: the table that the trailer announces lies within it.
Result<PackTrailer> decode_pack_trailer(ByteSpan trailer, std::uint64_t file_bytes);
// `table` lies directly before the trailer. Checks every entry, and that the chunks fill the space between header and
// table.
Result<std::vector<PackEntry>> decode_pack_table(ByteSpan table, std::uint64_t file_bytes);
// E_PACK_DAMAGED unless the trailer's digest is that of `header`, `table` and the trailer's first 8 bytes.
Status check_pack_digest(ByteSpan header, ByteSpan table, ByteSpan trailer);

}  // namespace vzv
