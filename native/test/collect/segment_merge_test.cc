#include "core/collect/segment_merge.h"

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <numeric>
#include <random>
#include <thread>

#include "core/store/segment_writer.h"
#include "test/collect/collect_fixture.h"

using namespace vzv;
using namespace vzv::test;

namespace {

MergeResult merge(CollectFixture& fixture, const std::vector<Id>& going) {
  return must(fixture.collection()->merge_segments(going, fixture.control(), fixture.counters));
}

Places without(const Places& places, const std::vector<Id>& packs) {
  Places left;
  for (const auto& place : places) {
    if (std::find(packs.begin(), packs.end(), place.second) == packs.end()) left.insert(place);
  }
  return left;
}

// A pack of these chunks, and no segment for it.
FinishedPack put_pack(const CollectFixture& fixture, const std::vector<std::uint64_t>& seeds) {
  const auto writer = must(PackWriter::create(fixture.store.dir()));
  for (const std::uint64_t seed : seeds) {
    const TestChunk chunk = fixture.chunk(seed);
    must(writer->append(chunk.id, ChunkType::kData, static_cast<std::uint32_t>(chunk.bytes.size()),
                        EncodedChunk{Codec::kStored, chunk.bytes}));
  }
  return must(writer->finish());
}

}  // namespace

TEST_CASE("merges what is small as long as sizes do not grow by a factor") {
  const auto chosen = [](const std::vector<std::uint64_t>& entries) { return choose_merge(entries).size(); };
  CHECK(chosen({}) == 0);
  CHECK(chosen({10}) == 0);
  CHECK(chosen({10, 10}) == 2);
  CHECK(chosen({10, 29}) == 2);
  CHECK(chosen({10, 30}) == 0);
  CHECK(chosen({1, 2, 8, 32}) == 4);  // each is less than three times what is below it
  CHECK(chosen({1, 2, 8, 33}) == 3);
  CHECK(chosen({1, 3, 12, 48}) == 0);
  CHECK(chosen({1, 10, 100, 1000}) == 0);
  CHECK(chosen({1, 1, 100, 1000}) == 2);
  CHECK(chosen(std::vector<std::uint64_t>(60, 32'768)) == 60);
  CHECK(choose_merge({1'000'000, 5, 5}) == std::vector<std::size_t>{1, 2});
  // None grows beyond the limit, so that many large ones stay.
  CHECK(chosen(std::vector<std::uint64_t>(200, limits::kMergedSegmentEntries / 2)) == 2);
  CHECK(chosen(std::vector<std::uint64_t>(10, limits::kMergedSegmentEntries)) == 0);
}

TEST_CASE("a merge keeps every place but those in packs that go") {
  const unsigned seed = std::random_device{}();
  MESSAGE("seed ", seed);
  std::mt19937 random(seed);
  for (int round = 0; round < 8; ++round) {
    CollectFixture fixture;
    // Packs whose chunks overlap, each or a few in a segment, one segment twice over.
    std::vector<FinishedPack> packs;
    for (int p = 0; p < 12; ++p) {
      std::vector<std::uint64_t> seeds(40);
      std::iota(seeds.begin(), seeds.end(), std::uint64_t{0});
      std::shuffle(seeds.begin(), seeds.end(), random);
      seeds.resize(1 + random() % 20);
      packs.push_back(put_pack(fixture, seeds));
    }
    for (std::size_t p = 0; p < packs.size(); ++p) {
      std::vector<FinishedPack> batch{packs[p]};
      while (random() % 3 == 0 && p + 1 < packs.size()) batch.push_back(packs[++p]);
      must(write_segment(*fixture.store.dir(), Suite::kNone, batch));
      if (random() % 4 == 0) must(write_segment(*fixture.store.dir(), Suite::kNone, batch));
    }
    const Places before = listed_places(fixture.store);
    std::vector<Id> going;
    for (const FinishedPack& pack : packs) {
      if (random() % 3 == 0) going.push_back(pack.id);
    }
    // A pack that cannot be seen is no pack that goes.
    fixture.remove_packs({packs[random() % packs.size()].id});

    const MergeResult result = merge(fixture, going);
    for (const Id& added : result.added) {
      CHECK(std::find(result.replaced.begin(), result.replaced.end(), added) == result.replaced.end());
    }
    // Whether the old ones are gone yet or not.
    CHECK(without(listed_places(fixture.store), going) == without(before, going));
    fixture.remove_segments(result.replaced);
    CHECK(listed_places(fixture.store) == without(before, going));
  }
}

TEST_CASE("repeated merges come to rest, and leave few segments") {
  CollectFixture fixture;
  std::vector<MapRoot> roots;
  for (std::uint64_t n = 0; n < 40; ++n) roots.push_back(fixture.put_volume(10, {{0, n}, {1, n / 2}}));
  const Places places = listed_places(fixture.store);
  CHECK(fixture.store.segments().size() == 40);
  for (int round = 0; round < 5; ++round) fixture.remove_segments(merge(fixture, {}).replaced);
  CHECK(listed_places(fixture.store) == places);
  CHECK(fixture.store.segments().size() <= 2);
  const MergeResult rest = merge(fixture, {});
  CHECK(rest.replaced.empty());
  CHECK(rest.added.empty());
  const auto collection = fixture.collection();
  fixture.mark(*collection, roots);
  for (const PackUse& pack : fixture.packs(*collection)) CHECK(pack.live_chunks == pack.chunks);
}

TEST_CASE("a segment of which nothing is left is replaced by none") {
  CollectFixture fixture;
  fixture.put_volume(10, {{0, 1}});
  const std::vector<Id> packs = fixture.store.packs();
  const MergeResult result = merge(fixture, packs);
  CHECK(result.replaced.size() == 1);
  CHECK(result.added.empty());
}

TEST_CASE("a name never comes again, and what a crash left is merged the next time") {
  CollectFixture fixture;
  fixture.put_volume(10, {{0, 1}});
  fixture.put_volume(10, {{0, 2}});
  const Places places = listed_places(fixture.store);
  const MergeResult first = merge(fixture, {});
  REQUIRE(first.added.size() == 1);
  // The old ones were not removed.
  const MergeResult second = merge(fixture, {});
  REQUIRE(second.added.size() == 1);
  CHECK(second.added != first.added);
  CHECK(second.replaced.size() == 3);
  fixture.remove_segments(second.replaced);
  CHECK(listed_places(fixture.store) == places);
  CHECK(fixture.store.unfinished().empty());
}

TEST_CASE("an index takes in merged segments while it is read") {
  CollectFixture fixture;
  for (std::uint64_t n = 0; n < 6; ++n) fixture.put_volume(10, {{0, n}});
  const auto index = fixture.store.index();
  const MergeResult result = merge(fixture, {});
  fixture.remove_segments(result.replaced);
  for (std::uint64_t n = 0; n < 6; ++n) CHECK(index->find(fixture.chunk(n).id, ChunkType::kData));
  must(index->refresh());
  CHECK(index->segments() == result.added);
  CHECK(index->damaged_segments().empty());
  for (std::uint64_t n = 0; n < 6; ++n) CHECK(index->find(fixture.chunk(n).id, ChunkType::kData));
}

TEST_CASE("an index that is opened while segments are merged away misses nothing") {
  CollectFixture fixture;
  for (std::uint64_t n = 0; n < 4; ++n) fixture.put_volume(10, {{0, n}});
  const ScratchDirectory caches;
  std::atomic<bool> stop{false};
  std::atomic<int> opened{0}, wrong{0};
  std::thread opener([&] {
    while (!stop) {
      const auto index = Index::open(fixture.store.dir(), caches / std::to_string(opened++));
      if (!index.ok() || !(*index)->damaged_segments().empty()) {
        ++wrong;
        continue;
      }
      for (std::uint64_t n = 0; n < 4; ++n) wrong += (*index)->find(tiny_chunk(n).id, ChunkType::kData) ? 0 : 1;
    }
  });
  for (std::uint64_t round = 0; round < 30 || opened < 10; ++round) {
    fixture.put_volume(10, {{0, 1'000 + round}});
    // As a collector that cannot wait: the old go as soon as the new are there.
    fixture.remove_segments(merge(fixture, {}).replaced);
  }
  stop = true;
  opener.join();
  CHECK(wrong == 0);
  MESSAGE("opened ", opened.load(), " times");
}
