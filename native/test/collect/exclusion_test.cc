// What a writer refers to while packs are being condemned.
#include <atomic>
#include <set>
#include <thread>

#include "test/collect/collect_fixture.h"

using namespace vzv;
using namespace vzv::test;

namespace {

// One pack for each of so many chunks.
std::vector<Id> one_pack_each(const Store& store, std::uint64_t count) {
  const auto writer = store.writer({.pack_target_bytes = 1});
  for (std::uint64_t n = 0; n < count; ++n) must(writer->put(ChunkType::kData, tiny_chunk(n).id, tiny_chunk(n).bytes));
  must(writer->flush());
  const auto index = store.index();
  std::vector<Id> packs;
  for (std::uint64_t n = 0; n < count; ++n) packs.push_back(index->find(tiny_chunk(n).id, ChunkType::kData)->pack);
  return packs;
}

Put put(ChunkWriter& writer, std::uint64_t seed) {
  return must(writer.put(ChunkType::kData, tiny_chunk(seed).id, tiny_chunk(seed).bytes)).put;
}

}  // namespace

TEST_CASE("the chunks of excluded packs are stored again, once") {
  const Store store;
  const std::vector<Id> packs = one_pack_each(store, 3);
  const auto writer = store.writer({.excluded = {packs[0]}});
  CHECK(put(*writer, 0) == Put::kStored);
  CHECK(put(*writer, 0) == Put::kReused);
  CHECK(put(*writer, 1) == Put::kReused);
  CHECK(writer->exclude({packs[1], packs[2]}) == std::vector<Id>{packs[1]});
  CHECK(put(*writer, 1) == Put::kReused);  // it depends on that pack already
  CHECK(put(*writer, 2) == Put::kStored);
  must(writer->flush());
  CHECK(store.packs().size() == 4);
  // In its own pack now, which it keeps too; the one that was excluded in the beginning is none of its.
  CHECK(put(*writer, 0) == Put::kReused);
  const std::vector<Id> own = writer->written_packs();
  REQUIRE(own.size() == 1);
  CHECK(writer->exclude({packs[0], own[0], packs[2], random_chunk(9).id}) == own);
  CHECK(put(*writer, 2) == Put::kReused);
}

TEST_CASE("exclusion belongs to one writer, not to the index") {
  const Store store;
  const std::vector<Id> packs = one_pack_each(store, 1);
  const auto index = store.index();
  const auto first = must(ChunkWriter::create(store.dir(), index, {.excluded = packs}));
  const auto second = must(ChunkWriter::create(store.dir(), index));
  CHECK(put(*first, 0) == Put::kStored);
  CHECK(put(*second, 0) == Put::kReused);
  CHECK(index->find(tiny_chunk(0).id, ChunkType::kData)->pack == packs[0]);
}

TEST_CASE("a writer's unfinished files tell its session") {
  const Store store;
  const std::string session(32, 'a');
  const auto writer = store.writer({.session = session});
  CHECK(put(*writer, 1) == Put::kStored);
  REQUIRE(store.unfinished().size() == 1);
  CHECK(store.unfinished()[0].starts_with(session + "-"));
}

TEST_CASE("threads that put while packs are excluded refer to no pack that is gone for them") {
  constexpr std::uint64_t kChunks = 400;
  const Store store;
  const std::vector<Id> packs = one_pack_each(store, kChunks);
  const auto writer = store.writer({.pack_target_bytes = 2'000});
  std::vector<std::atomic<int>> answers(kChunks);  // 1: stored, 2: reused, before or after its pack was excluded
  std::atomic<std::uint64_t> next{0}, failed{0}, allowed{8};
  std::vector<std::atomic<bool>> excluded_before(kChunks), was_excluded(kChunks);
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&] {
      for (std::uint64_t n = next++; n < kChunks; n = next++) {
        while (n >= allowed) std::this_thread::yield();
        excluded_before[n] = was_excluded[n].load();
        const Result<PutResult> result = writer->put(ChunkType::kData, tiny_chunk(n).id, tiny_chunk(n).bytes);
        if (!result.ok()) ++failed;
        answers[n] = result.ok() && result.value().put == Put::kStored ? 1 : 2;
      }
    });
  }
  // From both ends, in step with the threads, so that some of them are excluded before they are asked for, some after,
  // and some meanwhile.
  IdSet keeps;
  for (std::uint64_t batch = 0; batch < kChunks / 8; ++batch) {
    while (next < std::min(kChunks, 4 * batch + 3)) std::this_thread::yield();
    std::vector<Id> condemned;
    std::vector<std::uint64_t> numbers;
    for (std::uint64_t i = 0; i < 4; ++i) {
      numbers.push_back(4 * batch + i);
      numbers.push_back(kChunks - 1 - (4 * batch + i));
    }
    for (const std::uint64_t n : numbers) condemned.push_back(packs[n]);
    for (const Id& own : writer->written_packs()) condemned.push_back(own);
    for (const Id& keep : writer->exclude(condemned)) keeps.insert(keep);
    for (const std::uint64_t n : numbers) was_excluded[n] = true;
    allowed = 4 * batch + 8;
  }
  allowed = kChunks;
  for (std::thread& thread : threads) thread.join();
  CHECK(failed == 0);
  must(writer->flush());
  int reused = 0, stored = 0;
  for (std::uint64_t n = 0; n < kChunks; ++n) {
    if (answers[n] == 1) ++stored;
    if (answers[n] != 2) continue;
    ++reused;
    CHECK_FALSE(excluded_before[n]);
    CHECK(keeps.contains(packs[n]));
  }
  MESSAGE("reused ", reused, ", stored again ", stored);
  // Packs of its own are always kept.
  const IdSet old(packs.begin(), packs.end());
  for (const Id& own : writer->written_packs()) {
    CHECK_FALSE(old.contains(own));
    CHECK(writer->exclude({own}) == std::vector<Id>{own});
  }
}
