#include "core/store/map_node.h"

#include "core/base/bytes.h"
#include "test/store/store_fixture.h"

using namespace vzv;
using namespace vzv::test;

TEST_CASE("a node lies in its chunk as docs/format.md draws it") {
  const Id first = random_chunk(1).id;
  const Bytes node = encode_map_node(3, {first, Id{}});
  REQUIRE(node.size() == 16 + 64);
  ByteReader reader(node);
  CHECK(reader.magic("VZMN"));
  CHECK(reader.u8() == 0);
  CHECK(reader.u8() == 3);
  CHECK(reader.u16() == 2);
  CHECK(reader.u64() == 0);
  CHECK(reader.id() == first);
  CHECK(reader.id().is_zero());
  CHECK(must(decode_map_node(node, 3, 2)) == std::vector<Id>{first, Id{}});
}

TEST_CASE("a full node has 8,208 bytes") {
  const Bytes node = encode_map_node(0, std::vector<Id>(256, random_chunk(1).id));
  CHECK(node.size() == 8208);
  CHECK(must(decode_map_node(node, 0, 256)).size() == 256);
}

TEST_CASE("a node knows how many children it has, at every edge of a volume") {
  CHECK(map_node_children(1, 0, 0) == 1);
  CHECK(map_node_children(256, 0, 0) == 256);
  CHECK(map_node_children(257, 0, 256) == 1);
  CHECK(map_node_children(257, 1, 0) == 2);
  CHECK(map_node_children(65'536, 1, 0) == 256);
  CHECK(map_node_children(65'537, 1, 65'536) == 1);
  CHECK(map_node_children(65'537, 2, 0) == 2);
  CHECK(map_node_children(limits::kVolumeChunksMax, 4, 0) == 256);
}

TEST_CASE("a node that stands in the wrong place, is all zero or is no node is E_MAP_DAMAGED") {
  const Bytes node = encode_map_node(1, {random_chunk(1).id, Id{}, Id{}});
  const auto code = [](const Bytes& bytes, unsigned level, std::uint32_t children) {
    return decode_map_node(bytes, level, children).status().code();
  };
  CHECK(code(node, 1, 3) == Code::kOk);
  CHECK(code(node, 0, 3) == Code::E_MAP_DAMAGED);
  CHECK(code(node, 1, 2) == Code::E_MAP_DAMAGED);
  CHECK(code(node, 1, 4) == Code::E_MAP_DAMAGED);
  CHECK(code(encode_map_node(1, {Id{}, Id{}}), 1, 2) == Code::E_MAP_DAMAGED);
  CHECK(code({}, 1, 3) == Code::E_MAP_DAMAGED);
}

TEST_CASE("a node with a changed header byte or cut short is E_MAP_DAMAGED") {
  const Bytes node = encode_map_node(1, {random_chunk(1).id, Id{}, random_chunk(2).id});
  for_each_damage(node, [&](const Bytes& damaged, std::size_t at, bool cut) {
    const Result<std::vector<Id>> ids = decode_map_node(damaged, 1, 3);
    // A changed id is another id: the node's own id tells, see damaged_map_test.cc.
    const bool in_ids = !cut && at >= kMapNodeHeaderBytes;
    CHECK(ids.ok() == in_ids);
    if (!ids.ok()) CHECK(ids.status().code() == Code::E_MAP_DAMAGED);
  });
}
