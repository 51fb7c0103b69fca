// Which packs may go, and what the live set makes of a repository that changes below it.
#include "core/collect/pack_use.h"

#include <algorithm>
#include <filesystem>

#include "test/collect/collect_fixture.h"

using namespace vzv;
using namespace vzv::test;

namespace {

std::vector<Id> needed(CollectFixture& fixture, Collection& collection, const std::vector<Id>& packs) {
  return must(collection.still_needed(packs, fixture.control()));
}

std::vector<Id> sorted(std::vector<Id> ids) {
  std::sort(ids.begin(), ids.end());
  return ids;
}

}  // namespace

TEST_CASE("of two packs with a chunk one stays, and none where a third has it") {
  CollectFixture fixture;
  const MapRoot root = fixture.put_volume(10, {{0, 1}, {1, 2}});
  const Id first = fixture.pack_of(1);
  fixture.put_volume(10, {{0, 1}}, {.excluded = {first}});
  const Id second = fixture.pack_of(1, ChunkType::kData, {first});
  const auto collection = fixture.collection();
  fixture.mark(*collection, {root});
  CHECK(needed(fixture, *collection, {first}) == std::vector<Id>{first});  // chunk 2 is there only
  CHECK(needed(fixture, *collection, {second}).empty());
  // Chunk 2 keeps the first, which has chunk 1 too; the smaller id may be kept for chunk 1 as well.
  const std::vector<Id> both = needed(fixture, *collection, {first, second});
  CHECK(std::find(both.begin(), both.end(), first) != both.end());
  // What cannot be seen cannot be judged.
  CHECK(needed(fixture, *collection, {random_chunk(1).id}) == std::vector<Id>{random_chunk(1).id});
  CHECK(needed(fixture, *collection, {}).empty());
}

TEST_CASE("chunks in packs that are gone count as absent, and come back when another writer brings them") {
  CollectFixture fixture;
  const MapRoot root = fixture.put_volume(10, {{0, 1}});
  const Id first = fixture.pack_of(1);
  fixture.put_volume(10, {{0, 1}}, {.excluded = {first}});
  const Id second = fixture.pack_of(1, ChunkType::kData, {first});
  const auto collection = fixture.collection();
  fixture.mark(*collection, {root});
  CHECK(needed(fixture, *collection, {first}).empty());
  fixture.remove_packs({second});
  CHECK(needed(fixture, *collection, {first}) == std::vector<Id>{first});
  // Both lost: then whatever holds it is needed, though it was marked before that was there; also one of the two, which
  // may be seen again.
  fixture.remove_packs({first});
  CHECK(needed(fixture, *collection, {first}) == std::vector<Id>{first});
  fixture.put_volume(10, {{0, 1}});
  const Id third = fixture.pack_of(1);
  CHECK(needed(fixture, *collection, {third}) == std::vector<Id>{third});
}

TEST_CASE("a walked node does not hide that a chunk which was missing has come back") {
  CollectFixture fixture;
  const MapRoot root = fixture.put_volume(10, {{0, 1}});
  fixture.remove_packs({fixture.pack_of(1)});
  const auto collection = fixture.collection();
  fixture.mark(*collection, {root});
  // A backup of the same disk: the same map, all of whose nodes are known; the chunk in a new pack.
  const MapRoot same = fixture.put_volume(10, {{0, 1}});
  CHECK(same.root == root.root);
  fixture.mark(*collection, {same});
  const Id pack = fixture.pack_of(1);
  CHECK(needed(fixture, *collection, {pack}) == std::vector<Id>{pack});
  for (const PackUse& use : fixture.packs(*collection)) {
    if (use.id == pack) CHECK(use.live_chunks == 1);
  }
}

TEST_CASE("a segment that was lost costs no pack that is in use, and its packs are listed again") {
  CollectFixture fixture;
  MapRoot root;
  {
    // Data and map in segments of their own.
    const auto writer = fixture.store.writer();
    for (const std::uint64_t n : {1, 2, 3}) {
      must(writer->put(ChunkType::kData, fixture.chunk(n).id, fixture.chunk(n).bytes));
    }
    must(writer->flush());
  }
  const std::vector<Id> segments = fixture.store.segments();
  const std::vector<Id> data = fixture.store.packs();
  REQUIRE(segments.size() == 1);
  REQUIRE(data.size() == 1);
  root = fixture.put_volume(10, {{0, 1}, {1, 2}});
  const Places places = listed_places(fixture.store);
  fixture.remove_segments(segments);

  const auto collection = fixture.collection();
  fixture.mark(*collection, {root});
  for (const PackUse& use : fixture.packs(*collection)) {
    if (use.id == data[0]) CHECK(use.chunks == 0);  // it looks like garbage
  }
  CHECK(needed(fixture, *collection, data) == data);
  const MergeResult merged = must(collection->merge_segments({}, fixture.control(), fixture.counters));
  CHECK(merged.replaced.empty());
  CHECK(merged.added.size() == 1);
  CHECK(listed_places(fixture.store) == places);
  CHECK(fixture.readable(1));
  CHECK(needed(fixture, *collection, data) == data);
}

TEST_CASE("packs that are finished after the mark are not offered") {
  CollectFixture fixture;
  const MapRoot root = fixture.put_volume(10, {{0, 1}});
  const auto collection = fixture.collection();
  fixture.mark(*collection, {root});
  const std::vector<Id> before = sorted(fixture.store.packs());
  fixture.put_volume(10, {{0, 2}});
  std::vector<Id> offered;
  for (const PackUse& use : fixture.packs(*collection)) offered.push_back(use.id);
  CHECK(offered == before);
}

TEST_CASE("what is known of a segment is known of those that take its place") {
  CollectFixture fixture;
  const MapRoot root = fixture.put_volume(1'000, {{0, 1}, {300, 2}, {600, 3}});
  fixture.put_volume(1'000, {{0, 4}});
  const auto collection = fixture.collection();
  fixture.mark(*collection, {root});
  const auto before = fixture.packs(*collection);
  // By another collector.
  const auto other = fixture.collection();
  const MergeResult merged = must(other->merge_segments({}, fixture.control(), fixture.counters));
  CHECK(merged.replaced.size() == 2);
  fixture.remove_segments(merged.replaced);
  // Not walked again: the nodes are known to be walked, the chunks to be live.
  const MarkCounters again = fixture.mark(*collection, {root});
  CHECK(again.nodes_read + again.nodes_remembered == 0);
  const auto after = fixture.packs(*collection);
  REQUIRE(after.size() == before.size());
  for (std::size_t n = 0; n < after.size(); ++n) {
    CHECK(after[n].id == before[n].id);
    CHECK(after[n].live_chunks == before[n].live_chunks);
    CHECK(after[n].chunks == before[n].chunks);
  }
}
