#include "core/collect/mark.h"

#include <filesystem>

#include "core/store/map_node.h"
#include "test/collect/collect_fixture.h"
#include "test/support/few_threads.h"

using namespace vzv;
using namespace vzv::test;

namespace {

// Of a volume of two levels: chunk 100·n is made of seed n.
VolumeChunks spread(std::uint64_t first, std::uint64_t count) {
  VolumeChunks chunks;
  for (std::uint64_t n = first; n < first + count; ++n) chunks[100 * n] = n;
  return chunks;
}

std::uint64_t live_chunks(const std::vector<PackUse>& packs) {
  std::uint64_t live = 0;
  for (const PackUse& pack : packs) live += pack.live_chunks;
  return live;
}

}  // namespace

TEST_CASE("marks each chunk once and walks each node once, zeroes not at all") {
  CollectFixture fixture;
  // 70,000 chunks have three levels. Seed 1 stands in two places.
  const MapRoot root = fixture.put_volume(70'000, {{0, 1}, {1, 2}, {300, 1}, {69'999, 3}});
  const auto collection = fixture.collection();
  const MarkCounters counters = fixture.mark(*collection, {root});
  CHECK(counters.chunks_marked == 3);
  CHECK(counters.nodes_read == 6);  // the root, two below it, three leaves
  CHECK(counters.nodes_remembered == 0);
  CHECK(live_chunks(fixture.packs(*collection)) == 9);
  // Once more, the same root costs nothing.
  const MarkCounters again = fixture.mark(*collection, {root, root});
  CHECK(again.chunks_marked == 0);
  CHECK(again.nodes_read == 0);
}

TEST_CASE("what is not reached is not live") {
  CollectFixture fixture;
  const MapRoot kept = fixture.put_volume(10'000, spread(0, 50));
  const MapRoot gone = fixture.put_volume(10'000, spread(40, 50));
  const auto collection = fixture.collection();
  fixture.mark(*collection, {kept});
  for (const PackUse& pack : fixture.packs(*collection)) {
    CHECK(pack.file_bytes == file_size(fixture.store.file(pack_name(pack.id))));
    if (pack.id == fixture.pack_of(0)) CHECK(pack.live_chunks == pack.chunks);
    if (pack.id == fixture.pack_of(70)) CHECK(pack.live_chunks == 0);
  }
  const MarkCounters more = fixture.mark(*collection, {gone});
  CHECK(more.chunks_marked == 40);
  for (const PackUse& pack : fixture.packs(*collection)) CHECK(pack.live_chunks == pack.chunks);
}

TEST_CASE("subtrees that maps share are walked once") {
  CollectFixture fixture;
  VolumeChunks chunks = spread(0, 100);
  const MapRoot first = fixture.put_volume(10'000, chunks);
  chunks[0] = 5'000;
  const MapRoot second = fixture.put_volume(10'000, chunks);
  const auto collection = fixture.collection();
  const MarkCounters one = fixture.mark(*collection, {first});
  const MarkCounters other = fixture.mark(*collection, {second});
  CHECK(one.nodes_read == 40);   // the root and 39 leaves
  CHECK(other.nodes_read == 2);  // the root and the first leaf
  CHECK(other.chunks_marked == 1);
}

TEST_CASE("a zero root is of nothing, and an empty volume too") {
  CollectFixture fixture;
  MapRoot zero = fixture.put_volume(1'000, {});
  CHECK(zero.root.is_zero());
  const MapRoot empty = fixture.put_volume(0, {});
  const MapRoot none = fixture.put_stream(ChunkType::kData, {});
  const auto collection = fixture.collection();
  CHECK(fixture.mark(*collection, {zero, empty, none}).nodes_read == 0);
  CHECK(fixture.packs(*collection).empty());
}

TEST_CASE("streams of both types are marked, each by its own type, even where their nodes are the same") {
  CollectFixture fixture;
  std::vector<std::uint64_t> seeds;
  for (std::uint64_t n = 0; n < 2'000; ++n) seeds.push_back(n);
  const MapRoot data = fixture.put_stream(ChunkType::kData, seeds);
  const MapRoot catalogue = fixture.put_stream(ChunkType::kCatalogue, seeds);
  REQUIRE(data.root == catalogue.root);
  REQUIRE(data.levels > 1);
  const auto collection = fixture.collection();
  CHECK(fixture.mark(*collection, {data}).chunks_marked == 2'000);
  for (const PackUse& pack : fixture.packs(*collection)) {
    if (pack.id == fixture.pack_of(0, ChunkType::kCatalogue)) CHECK(pack.live_chunks < pack.chunks);
  }
  CHECK(fixture.mark(*collection, {catalogue}).chunks_marked == 2'000);
  for (const PackUse& pack : fixture.packs(*collection)) CHECK(pack.live_chunks == pack.chunks);
}

TEST_CASE("a missing or damaged node ends the mark by name, and what was marked stays marked") {
  CollectFixture fixture;
  const MapRoot good = fixture.put_volume(10'000, spread(0, 50));
  const MapRoot bad = fixture.put_volume(20'000, spread(100, 50));
  const Id pack = fixture.store.index()->find(bad.root, ChunkType::kMapNode)->pack;
  const std::string path = fixture.store.file(pack_name(pack));
  const Bytes bytes = read_file(path);
  const auto collection = fixture.collection();
  fixture.mark(*collection, {good});

  const auto fails = [&] {
    const Status status = fixture.try_mark(*collection, {good, bad});
    CHECK(status.code() == Code::E_GC_INCOMPLETE);
    CHECK(status.message().find(bad.root.hex()) != std::string::npos);
  };
  SUBCASE("the pack is gone") { std::filesystem::remove(path); }
  SUBCASE("its bytes were changed") {
    Bytes damaged = bytes;
    for (std::size_t at = 48; at < damaged.size() - 48; at += 20) damaged[at] ^= 1;
    write_file(path, damaged);
  }
  fails();
  std::uint64_t live = 0;
  for (const PackUse& use : fixture.packs(*collection)) {
    if (use.id == fixture.pack_of(0)) live = use.live_chunks;
  }
  CHECK(live == 50);

  // Once it is mended, the same roots do.
  write_file(path, bytes);
  CHECK(fixture.mark(*collection, {good, bad}).chunks_marked == 50);
  for (const PackUse& use : fixture.packs(*collection)) CHECK(use.live_chunks == use.chunks);
}

TEST_CASE("a node that stands where it cannot, and a root that cannot be one, are E_GC_INCOMPLETE") {
  CollectFixture fixture;
  const MapRoot root = fixture.put_volume(10'000, spread(0, 50));
  const MapRoot stream = fixture.put_stream(ChunkType::kData, {1, 2, 3});
  const auto code = [&](MapRoot changed) { return fixture.try_mark(*fixture.collection(), {changed}).code(); };
  CHECK(code(root) == Code::kOk);
  MapRoot changed = root;
  changed.levels = 3;
  CHECK(code(changed) == Code::E_GC_INCOMPLETE);
  changed = root;
  changed.size_bytes *= 2;
  CHECK(code(changed) == Code::E_GC_INCOMPLETE);
  changed = root;
  changed.chunk_size_bytes = 7;
  CHECK(code(changed) == Code::E_GC_INCOMPLETE);
  changed = stream;
  changed.size_bytes += 1;
  CHECK(code(changed) == Code::E_GC_INCOMPLETE);
  changed = stream;
  changed.root = root.root;
  CHECK(code(changed) == Code::E_GC_INCOMPLETE);
  changed = root;
  changed.root = random_chunk(1).id;
  CHECK(code(changed) == Code::E_GC_INCOMPLETE);
}

TEST_CASE("a segment that cannot be read ends the mark: what it lists is not known") {
  CollectFixture fixture;
  const MapRoot root = fixture.put_volume(10'000, spread(0, 50));
  fixture.put_volume(20'000, spread(100, 50));
  const auto collection = fixture.collection();
  const std::string path = fixture.store.file(segment_name(fixture.store.segments().front()));
  Bytes bytes = read_file(path);
  bytes[100] ^= 1;
  write_file(path, bytes);
  std::filesystem::remove_all(fixture.store.cache_path());
  std::filesystem::create_directory(fixture.store.cache_path());
  CHECK(fixture.try_mark(*fixture.collection(), {root}).code() == Code::E_GC_INCOMPLETE);
}

TEST_CASE("missing data is no obstacle") {
  CollectFixture fixture;
  const MapRoot first = fixture.put_volume(10'000, spread(0, 50));
  const MapRoot second = fixture.put_volume(10'000, spread(40, 50));
  fixture.remove_packs({fixture.pack_of(0)});
  const auto collection = fixture.collection();
  CHECK(fixture.mark(*collection, {first, second}).chunks_marked == 90);
}

TEST_CASE("a second collection reads only the nodes that are new") {
  CollectFixture fixture;
  const MapRoot first = fixture.put_volume(10'000, spread(0, 100));
  const MapRoot stream = fixture.put_stream(ChunkType::kCatalogue, {1, 2, 3});
  const auto collect = [&](const std::vector<MapRoot>& roots) {
    const auto collection = fixture.collection();
    const MarkCounters counters = fixture.mark(*collection, roots);
    collection->close();
    return counters;
  };
  CHECK(collect({first, stream}).nodes_read == 41);
  MarkCounters again = collect({first, stream});
  CHECK(again.nodes_read == 0);
  CHECK(again.nodes_remembered == 41);
  CHECK(again.files_opened == 0);
  CHECK(again.chunks_marked == 103);
  VolumeChunks chunks = spread(0, 100);
  chunks[9'999] = 7'777;
  const MapRoot second = fixture.put_volume(10'000, chunks);
  again = collect({second});
  CHECK(again.nodes_read == 2);
  CHECK(again.nodes_remembered == 39);  // the leaf is a new one
  // What was not walked is forgotten.
  CHECK(collect({first, stream}).nodes_read == 2);
}

TEST_CASE("a mark that was stopped is E_CANCELLED, and what it read is kept for the next") {
  CollectFixture fixture;
  const MapRoot root = fixture.put_volume(10'000, spread(0, 100));
  {
    const auto collection = fixture.collection();
    std::atomic<int> reads{0};
    const CollectControl control{
        fixture.cancel, [&](std::uint64_t) { return ++reads > 20 ? Status(Code::E_CANCELLED, "stopped") : Status(); }};
    CHECK(collection->mark({root}, control, fixture.counters).code() == Code::E_CANCELLED);
    collection->close();
  }
  const auto collection = fixture.collection();
  const MarkCounters counters = fixture.mark(*collection, {root});
  CHECK(counters.nodes_remembered == 20);
  CHECK(counters.nodes_read == 20);
  CHECK(counters.chunks_marked == 100);
}

TEST_CASE("a collection that gets no threads says so, and the next one marks") {
  CollectFixture fixture;
  const MapRoot root = fixture.put_volume(10'000, spread(0, 100));
  const auto collection = fixture.collection();
  check_needs_threads([&] { return fixture.try_mark(*collection, {root}); });
  fixture.mark(*collection, {root});
  for (const PackUse& pack : fixture.packs(*collection)) CHECK(pack.live_chunks == pack.chunks);
}
