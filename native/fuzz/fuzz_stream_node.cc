// Nodes of a stream's map, for every level, type and length that the bytes could be taken for.
#include "core/archive/stream_node.h"
#include "fuzz/fuzz_driver.h"

using namespace vzv;

namespace {

std::vector<StreamChild> children(std::size_t count) {
  std::vector<StreamChild> all(count);
  for (std::size_t i = 0; i < count; ++i) {
    all[i].id.bytes.fill(static_cast<std::uint8_t>(i + 1));
    all[i].length = 1'000 + i;
  }
  return all;
}

// What the lengths of the children sum up to, if the bytes are a node.
std::uint64_t sum_of(ByteSpan node) {
  std::uint64_t sum = 0;
  for (std::size_t at = 48; at + 8 <= node.size(); at += 40) {
    for (unsigned i = 0; i < 8; ++i) sum += static_cast<std::uint64_t>(node[at + i]) << (8 * i);
  }
  return sum;
}

}  // namespace

std::vector<Bytes> fuzz::samples() {
  std::vector<StreamChild> with_zero = children(3);
  with_zero[1].id = Id{};
  return {encode_stream_node(0, children(1)), encode_stream_node(0, with_zero), encode_stream_node(7, children(256))};
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteSpan node(data, size);
  for (unsigned level = 0; level < limits::kStreamLevelsMax; ++level) {
    for (const ChunkType type : {ChunkType::kData, ChunkType::kCatalogue}) {
      for (const std::uint64_t length : {sum_of(node), std::uint64_t{1'000}, UINT64_MAX}) {
        const auto decoded = decode_stream_node(node, level, length, type);
        if (!decoded.ok()) {
          FUZZ_CHECK(decoded.status().code() == Code::E_MAP_DAMAGED);
          continue;
        }
        FUZZ_CHECK(length == sum_of(node));
        FUZZ_CHECK(encode_stream_node(level, *decoded) == Bytes(node.begin(), node.end()));
      }
    }
  }
  return 0;
}
