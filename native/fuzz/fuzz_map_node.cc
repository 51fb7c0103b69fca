// Map nodes, for every level and number of children that the bytes could be taken for.
#include "core/base/bytes.h"
#include "core/store/map_node.h"
#include "fuzz/fuzz_driver.h"

using namespace vzv;

std::vector<Bytes> fuzz::samples() {
  Id id;
  id.bytes.fill(0x5a);
  std::vector<Id> some(3);
  some[1] = id;
  return {encode_map_node(0, {id}), encode_map_node(1, some), encode_map_node(4, std::vector<Id>(256, id))};
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteSpan node(data, size);
  for (unsigned level = 0; level < limits::kMapLevelsMax; ++level) {
    for (const std::uint32_t children : {1U, 2U, 3U, 4U, 255U, 256U}) {
      const Result<std::vector<Id>> ids = decode_map_node(node, level, children);
      if (!ids.ok()) {
        FUZZ_CHECK(ids.status().code() == Code::E_MAP_DAMAGED);
        continue;
      }
      // There is one way to write a node, so what was accepted is what would be written.
      const Bytes again = encode_map_node(level, ids.value());
      FUZZ_CHECK(ids.value().size() == children);
      FUZZ_CHECK(again == Bytes(node.begin(), node.end()));
    }
  }
  return 0;
}
