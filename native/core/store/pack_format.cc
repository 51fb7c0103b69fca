#include "core/store/pack_format.h"

#include "core/base/bytes.h"
#include "core/base/limits.h"
#include "core/base/sha256.h"

namespace vzv {

namespace {

constexpr std::string_view kHeaderMagic = "VZVPACK\n";
constexpr std::string_view kTrailerMagic = "VZVPEND\n";
constexpr std::uint16_t kVersion = 1;
// Of the trailer: what its digest covers.
constexpr std::size_t kTrailerCountBytes = 8;

Status damaged(std::string what) { return {Code::E_PACK_DAMAGED, std::move(what)}; }

Id digest_of(ByteSpan header, ByteSpan table, ByteSpan trailer) {
  Sha256 hash;
  hash.update(header);
  hash.update(table);
  hash.update(trailer.first(kTrailerCountBytes));
  return hash.finish();
}

// Reads one entry that must begin at `offset`, with `available` bytes before the table.
Result<PackEntry> decode_entry(ByteReader& reader, std::uint64_t offset, std::uint64_t available) {
  PackEntry entry;
  entry.id = reader.id();
  const std::uint8_t type = reader.u8();
  const std::uint8_t codec = reader.u8();
  if (!chunk_type_known(type))
    return damaged("a chunk of unknown type " + std::to_string(type) + " stands in its table");
  if (!codec_known(codec)) return damaged("a chunk of unknown codec " + std::to_string(codec) + " stands in its table");
  if (!reader.zeroes(2)) return damaged("a reserved field of its table is not zero");
  entry.type = static_cast<ChunkType>(type);
  entry.codec = static_cast<Codec>(codec);
  entry.stored_bytes = reader.u32();
  entry.plain_bytes = reader.u32();
  entry.offset = reader.u64();
  if (entry.stored_bytes == 0 || entry.stored_bytes > limits::kStoredChunkMaxBytes || entry.plain_bytes == 0 ||
      entry.plain_bytes > plain_max_bytes(entry.type)) {
    return damaged("its table lists a chunk of an impossible length");
  }
  if (entry.offset != offset || entry.stored_bytes > available) return damaged("its table points past the chunks");
  return entry;
}

}  // namespace

Bytes encode_pack_header(const PackHeader& header) {
  Bytes bytes;
  bytes.reserve(kPackHeaderBytes);
  ByteWriter writer(bytes);
  writer.magic(kHeaderMagic);
  writer.u16(kVersion);
  writer.u16(static_cast<std::uint16_t>(header.suite));
  writer.zeroes(4);
  writer.bytes(header.salt);
  return bytes;
}

Bytes encode_pack_tail(ByteSpan header, const std::vector<PackEntry>& entries) {
  Bytes bytes;
  bytes.reserve(entries.size() * kPackEntryBytes + kPackTrailerBytes);
  ByteWriter writer(bytes);
  for (const PackEntry& entry : entries) {
    writer.id(entry.id);
    writer.u8(static_cast<std::uint8_t>(entry.type));
    writer.u8(static_cast<std::uint8_t>(entry.codec));
    writer.zeroes(2);
    writer.u32(entry.stored_bytes);
    writer.u32(entry.plain_bytes);
    writer.u64(entry.offset);
  }
  const std::size_t table_bytes = bytes.size();
  writer.u32(static_cast<std::uint32_t>(entries.size()));
  writer.u32(static_cast<std::uint32_t>(table_bytes));
  const ByteSpan tail(bytes);
  writer.id(digest_of(header, tail.first(table_bytes), tail.subspan(table_bytes)));
  writer.magic(kTrailerMagic);
  return bytes;
}

Result<PackHeader> decode_pack_header(ByteSpan header) {
  ByteReader reader(header);
  if (!reader.magic(kHeaderMagic)) return damaged("it does not begin as a pack");
  if (reader.u16() != kVersion) return damaged("its version is unknown");
  const std::uint16_t suite = reader.u16();
  if (reader.ok() && !suite_known(suite)) return Status(Code::E_SUITE_UNKNOWN, describe_unknown_suite(suite));
  if (!reader.zeroes(4)) return damaged("a reserved field of its header is not zero");
  PackHeader decoded;
  decoded.suite = static_cast<Suite>(suite);
  const ByteSpan salt = reader.bytes(decoded.salt.size());
  if (!reader.ok()) return damaged("its header is cut short");
  std::memcpy(decoded.salt.data(), salt.data(), salt.size());
  return decoded;
}

Result<PackTrailer> decode_pack_trailer(ByteSpan trailer, std::uint64_t file_bytes) {
  if (file_bytes < kPackHeaderBytes + kPackTrailerBytes || file_bytes > limits::kPackMaxBytes) {
    return damaged("no pack has " + std::to_string(file_bytes) + " bytes");
  }
  ByteReader reader(trailer);
  PackTrailer decoded;
  decoded.entries = reader.u32();
  decoded.table_bytes = reader.u32();
  decoded.digest = reader.id();
  if (!reader.magic(kTrailerMagic) || reader.remaining() != 0)
    return damaged("it does not end as a pack: it is cut short or overwritten");
  if (decoded.entries == 0 || decoded.entries > limits::kPackEntriesMax ||
      decoded.table_bytes != decoded.entries * kPackEntryBytes) {
    return damaged("its trailer announces an impossible table");
  }
  if (decoded.table_bytes > file_bytes - kPackHeaderBytes - kPackTrailerBytes)
    return damaged("its table is longer than the file");
  return decoded;
}

Result<std::vector<PackEntry>> decode_pack_table(ByteSpan table, std::uint64_t file_bytes) {
  const std::size_t entries = table.size() / kPackEntryBytes;
  if (entries == 0 || entries > limits::kPackEntriesMax || table.size() % kPackEntryBytes != 0) {
    return damaged("its table has an impossible length");
  }
  if (file_bytes > limits::kPackMaxBytes || file_bytes < kPackHeaderBytes + table.size() + kPackTrailerBytes) {
    return damaged("its table is longer than the file");
  }
  const std::uint64_t table_at = file_bytes - kPackTrailerBytes - table.size();
  std::vector<PackEntry> decoded;
  decoded.reserve(entries);
  ByteReader reader(table);
  std::uint64_t offset = kPackHeaderBytes;
  for (std::size_t n = 0; n < entries; ++n) {
    Result<PackEntry> entry = decode_entry(reader, offset, table_at - offset);
    if (!entry.ok()) return entry.status();
    offset += entry->stored_bytes;
    decoded.push_back(*entry);
  }
  if (offset != table_at) return damaged("its chunks do not reach to its table");
  return decoded;
}

Status check_pack_digest(ByteSpan header, ByteSpan table, ByteSpan trailer) {
  const bool whole = header.size() == kPackHeaderBytes && trailer.size() == kPackTrailerBytes;
  const Id stored = ByteReader(trailer.subspan(whole ? kTrailerCountBytes : trailer.size())).id();
  if (!whole || digest_of(header, table, trailer) != stored) return damaged("the digest of its table does not match");
  return {};
}

}  // namespace vzv
