// A pack's header, trailer and table, each taken from where a reader would look for it in the input.
#include <algorithm>

#include "core/base/limits.h"
#include "core/store/pack_format.h"
#include "fuzz/fuzz_driver.h"

using namespace vzv;

namespace {

Bytes pack_of(std::size_t count) {
  const Bytes header = encode_pack_header({});
  Bytes bytes = header;
  std::vector<PackEntry> entries;
  for (std::size_t n = 0; n < count; ++n) {
    Id id;
    id.bytes.fill(static_cast<std::uint8_t>(n + 1));
    const auto type = n % 2 == 0 ? ChunkType::kData : ChunkType::kMapNode;
    const auto codec = n % 3 == 0 ? Codec::kStored : Codec::kZstd;
    entries.push_back({id, type, codec, static_cast<std::uint32_t>(n + 5), 8000, bytes.size()});
    bytes.resize(bytes.size() + n + 5, 0xcc);
  }
  const Bytes tail = encode_pack_tail(header, entries);
  bytes.insert(bytes.end(), tail.begin(), tail.end());
  return bytes;
}

void expected_code(const Status& status) {
  FUZZ_CHECK(status.ok() || status.code() == Code::E_PACK_DAMAGED || status.code() == Code::E_SUITE_UNKNOWN);
}

void check_table(const std::vector<PackEntry>& entries, ByteSpan header, ByteSpan table, std::uint64_t file_bytes) {
  std::uint64_t offset = kPackHeaderBytes;
  for (const PackEntry& entry : entries) {
    FUZZ_CHECK(entry.offset == offset);
    FUZZ_CHECK(entry.stored_bytes >= 1 && entry.stored_bytes <= limits::kStoredChunkMaxBytes);
    FUZZ_CHECK(entry.plain_bytes >= 1 && entry.plain_bytes <= plain_max_bytes(entry.type));
    offset += entry.stored_bytes;
  }
  FUZZ_CHECK(offset + table.size() + kPackTrailerBytes == file_bytes);
  // There is one way to write a table, so what was accepted is what would be written.
  const Bytes tail = encode_pack_tail(header, entries);
  FUZZ_CHECK(std::equal(table.begin(), table.end(), tail.begin()));
}

}  // namespace

std::vector<Bytes> fuzz::samples() { return {pack_of(1), pack_of(2), pack_of(7)}; }

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteSpan file(data, size);
  const ByteSpan header = file.first(std::min<std::size_t>(size, kPackHeaderBytes));
  const ByteSpan trailer = file.last(std::min<std::size_t>(size, kPackTrailerBytes));
  const Result<PackHeader> decoded_header = decode_pack_header(header);
  expected_code(decoded_header.status());
  const Result<PackTrailer> decoded_trailer = decode_pack_trailer(trailer, size);
  expected_code(decoded_trailer.status());
  if (decoded_header.ok()) {
    const Bytes again = encode_pack_header(decoded_header.value());
    FUZZ_CHECK(std::equal(again.begin(), again.end(), header.begin(), header.end()));
  }
  if (!decoded_trailer.ok()) {
    // As a table all the same, of whatever length.
    expected_code(decode_pack_table(file, size + kPackHeaderBytes + kPackTrailerBytes).status());
    expected_code(check_pack_digest(header, file, trailer));
    return 0;
  }
  const std::uint32_t table_bytes = decoded_trailer.value().table_bytes;
  const ByteSpan table = file.subspan(size - kPackTrailerBytes - table_bytes, table_bytes);
  expected_code(check_pack_digest(header, table, trailer));
  const Result<std::vector<PackEntry>> entries = decode_pack_table(table, size);
  expected_code(entries.status());
  if (entries.ok()) check_table(entries.value(), header, table, size);
  return 0;
}
