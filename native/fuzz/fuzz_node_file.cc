// Table and trailer of the file in which collections keep map nodes.
#include <algorithm>

#include "core/base/bytes.h"
#include "core/base/sha256.h"
#include "core/collect/node_cache.h"
#include "fuzz/fuzz_driver.h"

using namespace vzv;

namespace {

// Header, `length` bytes of nodes, tail.
Bytes file_of(std::uint32_t nodes, std::uint32_t length) {
  Bytes bytes = encode_node_file_header();
  std::vector<NodePlace> places;
  for (std::uint32_t n = 0; n < nodes; ++n) {
    places.push_back({std::uint64_t{n / 2} << 40, bytes.size(), length});
    bytes.resize(bytes.size() + length, static_cast<std::uint8_t>(n));
  }
  ByteWriter(bytes).bytes(encode_node_file_tail(places));
  return bytes;
}

}  // namespace

std::vector<Bytes> fuzz::samples() { return {file_of(0, 0), file_of(1, 48), file_of(5, 20)}; }

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteSpan bytes(data, size);
  if (size < kNodeFileTrailerBytes) return 0;
  const ByteSpan trailer = bytes.last(kNodeFileTrailerBytes);
  const std::optional<std::uint64_t> count = decode_node_file_trailer(trailer, size);
  if (!count) return 0;
  FUZZ_CHECK(kNodeFileHeaderBytes + *count * kNodePlaceBytes + kNodeFileTrailerBytes <= size);
  const std::size_t table_at = size - kNodeFileTrailerBytes - *count * kNodePlaceBytes;
  const ByteSpan table = bytes.subspan(table_at, *count * kNodePlaceBytes);
  // The digest vouches for the table, which a fuzzer does not guess: both with it and as if it were right.
  Bytes vouched(trailer.begin(), trailer.end());
  const Id digest = sha256(table);
  std::copy(digest.bytes.begin(), digest.bytes.end(), vouched.begin() + 8);
  const auto places = decode_node_table(table, vouched, size);
  FUZZ_CHECK(!decode_node_table(table, trailer, size) || places);
  if (!places) return 0;
  FUZZ_CHECK(places->size() == *count);
  for (const NodePlace& place : *places) FUZZ_CHECK(place.offset + place.length <= table_at);
  const Bytes again = encode_node_file_tail(*places);
  FUZZ_CHECK(std::equal(table.begin(), table.end(), again.begin()));
  return 0;
}
