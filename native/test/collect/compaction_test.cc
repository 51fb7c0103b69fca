#include "core/collect/compaction.h"

#include <algorithm>
#include <filesystem>

#include "core/store/pack_reader.h"
#include "test/collect/collect_fixture.h"

using namespace vzv;
using namespace vzv::test;

namespace {

VolumeChunks run_of(std::uint64_t first, std::uint64_t count) {
  VolumeChunks chunks;
  for (std::uint64_t n = first; n < first + count; ++n) chunks[n] = n;
  return chunks;
}

std::vector<Id> tables_of(const Store& store, const std::vector<Id>& packs) {
  std::vector<Id> ids;
  for (const Id& pack : packs) {
    for (const PackEntry& entry : must(must(PackReader::open(*store.dir(), pack))->table())) ids.push_back(entry.id);
  }
  std::sort(ids.begin(), ids.end());
  return ids;
}

CompactionResult compact(CollectFixture& fixture, Collection& collection, const std::vector<Id>& packs) {
  return must(collection.compact(packs, fixture.control(), fixture.counters));
}

// Removes what a collector would by now: merged segments in place of the old, then packs.
void drop(CollectFixture& fixture, Collection& collection, const std::vector<Id>& packs) {
  CHECK(must(collection.still_needed(packs, fixture.control())).empty());
  fixture.remove_segments(must(collection.merge_segments(packs, fixture.control(), fixture.counters)).replaced);
  fixture.remove_packs(packs);
}

}  // namespace

TEST_CASE("live chunks move to new packs, dead ones go with the old") {
  CollectFixture fixture;
  SUBCASE("not encrypted") {}
  SUBCASE("encrypted") { fixture.store.keys = keys_of(1); }
  fixture.put_volume(300, run_of(0, 200));
  const MapRoot kept = fixture.put_volume(300, run_of(150, 20));
  const auto collection = fixture.collection();
  fixture.mark(*collection, {kept});
  std::vector<Id> going;
  for (const PackUse& pack : fixture.packs(*collection)) {
    if (pack.live_chunks == pack.chunks) continue;
    going.push_back(pack.id);
    CHECK(pack.live_chunks == (pack.id == fixture.pack_of(0) ? 20 : 0));
  }
  REQUIRE(going.size() == 2);  // the data of both volumes, the map of the first

  // It is needed until it is compacted.
  CHECK(must(collection->still_needed(going, fixture.control())) == std::vector<Id>{fixture.pack_of(0)});
  const CompactionResult result = compact(fixture, *collection, going);
  REQUIRE(result.packs.size() == 1);
  CHECK(result.added_bytes > 20 * 60);
  CHECK(tables_of(fixture.store, result.packs).size() == 20);
  drop(fixture, *collection, going);
  for (std::uint64_t n = 150; n < 170; ++n) CHECK(fixture.readable(n));
  for (const std::uint64_t n : {0, 149, 170, 199}) CHECK_FALSE(fixture.readable(n));
  CHECK(fixture.store.unfinished().empty());

  // Nothing is left to do.
  const auto again = fixture.collection();
  fixture.mark(*again, {kept});
  for (const PackUse& pack : fixture.packs(*again)) CHECK(pack.live_chunks == pack.chunks);
}

TEST_CASE("data and metadata move to packs of their own, types kept apart") {
  CollectFixture fixture;
  const MapRoot volume = fixture.put_volume(300, run_of(0, 30));
  const MapRoot catalogue = fixture.put_stream(ChunkType::kCatalogue, {0, 1, 2});
  const auto collection = fixture.collection();
  fixture.mark(*collection, {volume, catalogue});
  const std::vector<Id> going = fixture.store.packs();
  const CompactionResult result = compact(fixture, *collection, going);
  CHECK(result.packs.size() == 2);
  drop(fixture, *collection, going);
  CHECK(fixture.readable(1));
  CHECK(fixture.readable(1, ChunkType::kCatalogue));
  const auto again = fixture.collection();
  CHECK(fixture.mark(*again, {volume, catalogue}).chunks_marked == 33);
}

TEST_CASE("what has a place in a pack that stays is not copied, what has one in another that goes is, once") {
  CollectFixture fixture;
  const MapRoot root = fixture.put_volume(300, run_of(0, 10));
  const Id first = fixture.pack_of(0);
  // The same chunks in a second pack, because the first was condemned meanwhile.
  const MapRoot same = fixture.put_volume(300, run_of(0, 10), {.excluded = {first}});
  CHECK(same.root == root.root);
  const Id second = fixture.pack_of(0, ChunkType::kData, {first});
  REQUIRE(first != second);
  const auto collection = fixture.collection();
  fixture.mark(*collection, {root});
  std::uint64_t live = 0;
  for (const PackUse& pack : fixture.packs(*collection)) {
    if (pack.id == first || pack.id == second) live += pack.live_chunks;
  }
  CHECK(live == 10);  // each counts once
  CHECK(compact(fixture, *collection, {first}).packs.empty());
  CHECK(compact(fixture, *collection, {second}).packs.empty());
  const CompactionResult both = compact(fixture, *collection, {first, second});
  REQUIRE(both.packs.size() == 1);
  CHECK(tables_of(fixture.store, both.packs).size() == 10);
  drop(fixture, *collection, {first, second});
  for (std::uint64_t n = 0; n < 10; ++n) CHECK(fixture.readable(n));
}

TEST_CASE("a chunk that is damaged is taken from another pack, or stays, and its pack with it") {
  CollectFixture fixture;
  const MapRoot root = fixture.put_volume(300, run_of(0, 10));
  const Id first = fixture.pack_of(0);
  const std::string path = fixture.store.file(pack_name(first));
  const Bytes whole = read_file(path);
  Bytes bytes = whole;
  bytes[60] ^= 1;  // the first chunk
  write_file(path, bytes);
  const auto collection = fixture.collection();
  fixture.mark(*collection, {root});
  const CompactionResult result = compact(fixture, *collection, {first});
  CHECK(tables_of(fixture.store, result.packs).size() == 9);
  CHECK(must(collection->still_needed({first}, fixture.control())) == std::vector<Id>{first});

  // Another backup brings it again, into a pack that goes as well.
  fixture.put_volume(300, {{0, 0}}, {.excluded = {first}});
  const Id second = fixture.pack_of(0, ChunkType::kData, {first});
  const CompactionResult healed = compact(fixture, *collection, {first, second});
  CHECK(tables_of(fixture.store, healed.packs) == std::vector<Id>{fixture.chunk(0).id});
  drop(fixture, *collection, {first, second});
  for (std::uint64_t n = 0; n < 10; ++n) CHECK(fixture.readable(n));
}

TEST_CASE("a compaction that is cut short harms nothing, and what it left goes the next time") {
  CollectFixture fixture;
  fixture.put_volume(300, run_of(0, 200));
  const MapRoot kept = fixture.put_volume(300, run_of(0, 100));
  const std::vector<Id> before = fixture.store.packs();
  const auto collection = fixture.collection();
  fixture.mark(*collection, {kept});
  int reads = 0;
  const CollectControl control{
      fixture.cancel, [&](std::uint64_t) { return ++reads > 50 ? Status(Code::E_CANCELLED, "stopped") : Status(); }};
  CHECK(collection->compact(before, control, fixture.counters).status().code() == Code::E_CANCELLED);
  CHECK(fixture.store.unfinished().empty());
  CHECK(fixture.store.packs() == before);

  // As if it had ended between pack and segment: a pack that nothing lists.
  const CompactionResult done = compact(fixture, *collection, {fixture.pack_of(0)});
  REQUIRE(done.packs.size() == 1);
  const std::vector<Id> segments = fixture.store.segments();
  for (const Id& segment : segments) {
    const Bytes bytes = read_file(fixture.store.file(segment_name(segment)));
    const SegmentView view = must(SegmentView::parse(bytes));
    if (view.packs() == 1 && view.pack(0) == done.packs[0]) fixture.remove_segments({segment});
  }
  const auto next = fixture.collection();
  fixture.mark(*next, {kept});
  for (const PackUse& pack : fixture.packs(*next)) {
    if (pack.id == done.packs[0]) CHECK(pack.chunks == 0);
  }
  CHECK(must(next->still_needed(done.packs, fixture.control())).empty());
  fixture.remove_packs(done.packs);
  for (std::uint64_t n = 0; n < 100; ++n) CHECK(fixture.readable(n));
}
