// Compaction where the disk of a pack cannot read a part of it any more.
#include <cerrno>

#include "core/store/pack_reader.h"
#include "test/collect/collect_fixture.h"
#include "test/support/unreadable_ranges.h"

using namespace vzv;
using namespace vzv::test;

namespace {

struct Fixture : CollectFixture {
  Fixture() {
    VolumeChunks chunks;
    for (std::uint64_t n = 0; n < 10; ++n) chunks[n] = n;
    root = put_volume(300, chunks);
    first = pack_of(0);
    table = must(must(PackReader::open(*store.dir(), first))->table());
    path = store.file(pack_name(first));
  }
  std::uint64_t chunks_in(const std::vector<Id>& packs) const {
    std::uint64_t count = 0;
    for (const Id& pack : packs) count += must(must(PackReader::open(*store.dir(), pack))->table()).size();
    return count;
  }

  MapRoot root;
  Id first;
  std::vector<PackEntry> table;
  std::string path;
  UnreadableRanges bad;
};

}  // namespace

TEST_CASE("a live chunk in a sector that is lost stays where it is, its pack with it, and the collection goes on") {
  Fixture fixture;
  fixture.bad.add(fixture.path, fixture.table[3].offset, 10, EIO);
  const auto collection = fixture.collection();
  fixture.mark(*collection, {fixture.root});
  const CompactionResult result = must(collection->compact({fixture.first}, fixture.control(), fixture.counters));
  CHECK(fixture.chunks_in(result.packs) == 9);
  CHECK(must(collection->still_needed({fixture.first}, fixture.control())) == std::vector<Id>{fixture.first});
  // What was moved is not moved once more the next time.
  const CompactionResult again = must(collection->compact({fixture.first}, fixture.control(), fixture.counters));
  CHECK(again.packs.empty());
}

TEST_CASE("a live chunk in a sector that is lost is taken from another pack that goes as well") {
  Fixture fixture;
  fixture.put_volume(300, {{0, 3}}, {.excluded = {fixture.first}});
  Id second = fixture.first;
  for (const Id& pack : fixture.store.packs()) {
    for (const PackEntry& entry : must(must(PackReader::open(*fixture.store.dir(), pack))->table()))
      if (pack != fixture.first && entry.id == fixture.chunk(3).id) second = pack;
  }
  REQUIRE(second != fixture.first);
  for (const PackEntry& entry : fixture.table) {
    if (entry.id == fixture.chunk(3).id) fixture.bad.add(fixture.path, entry.offset, 10, EIO);
  }
  const auto collection = fixture.collection();
  fixture.mark(*collection, {fixture.root});
  const std::vector<Id> going{fixture.first, second};
  const CompactionResult result = must(collection->compact(going, fixture.control(), fixture.counters));
  CHECK(fixture.chunks_in(result.packs) == 10);
  CHECK(must(collection->still_needed(going, fixture.control())).empty());
}

TEST_CASE("a pack whose header or table lies in a sector that is lost is left alone") {
  Fixture fixture;
  SUBCASE("header") { fixture.bad.add(fixture.path, 0, 10, EIO); }
  SUBCASE("table") { fixture.bad.add(fixture.path, fixture.table[9].offset + fixture.table[9].stored_bytes, 10, EIO); }
  const auto collection = fixture.collection();
  fixture.mark(*collection, {fixture.root});
  CHECK(must(collection->compact({fixture.first}, fixture.control(), fixture.counters)).packs.empty());
  CHECK(must(collection->still_needed({fixture.first}, fixture.control())) == std::vector<Id>{fixture.first});
}

TEST_CASE("a storage that does not answer in time ends a compaction") {
  Fixture fixture;
  fixture.bad.add(fixture.path, fixture.table[3].offset, 10, ETIMEDOUT);
  const auto collection = fixture.collection();
  fixture.mark(*collection, {fixture.root});
  CHECK(collection->compact({fixture.first}, fixture.control(), fixture.counters).status().code() ==
        Code::E_STORAGE_TIMEOUT);
}
