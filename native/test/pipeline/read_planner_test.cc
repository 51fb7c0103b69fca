// What of a source is read, and in which pieces.
#include <doctest/doctest.h>

#include <iostream>
#include <random>

#include "core/pipeline/read_planner.h"
#include "test/pipeline/fake_source.h"
#include "test/pipeline/listed_regions.h"

namespace vzv::test {
namespace {

constexpr std::uint64_t kKiB = 1024;
constexpr std::uint32_t kChunk = 256 * kKiB;
constexpr std::uint32_t kRead = 1024 * kKiB;

struct Planned {
  std::vector<ReadPlan> plans;  // those with data
  std::vector<Range> passed_over_ranges;
  std::uint64_t passed_over = 0;
  std::uint64_t unchanged = 0;
};

Planned plan_all(FakeSource& source, DirtyRegions* dirty = nullptr) {
  const VolumeGeometry geometry{source.size_bytes(), kChunk};
  ReadPlanner planner(source, geometry, kRead, dirty);
  Planned planned;
  while (true) {
    auto plan = planner.next();
    REQUIRE(plan.ok());
    if (!*plan) break;
    REQUIRE((*plan)->chunk_count > 0);
    if (!(*plan)->is_zero()) {
      planned.plans.push_back(**plan);
      continue;
    }
    const std::uint64_t offset = (*plan)->first_chunk * kChunk;
    const std::uint64_t end = std::min(offset + (*plan)->chunk_count * kChunk, source.size_bytes());
    planned.passed_over_ranges.push_back({offset, end - offset});
    planned.passed_over += end - offset;
  }
  planned.unchanged = planner.unchanged_bytes();
  return planned;
}

TEST_CASE("a disk without holes is read in order, in reads of the full size, the last one shorter") {
  FakeSource source(2 * kRead + kChunk + 100);
  const Planned planned = plan_all(source);
  REQUIRE(planned.plans.size() == 3);
  CHECK(planned.plans[0].pieces == std::vector<Extent>{{0, kRead, false}});
  CHECK(planned.plans[2].first_chunk == 8);
  CHECK(planned.plans[2].chunk_count == 2);
  CHECK(planned.plans[2].pieces == std::vector<Extent>{{2 * kRead, kChunk + 100, false}});
  CHECK(planned.passed_over == 0);
}

TEST_CASE("chunks in a hole are passed over; one that is only half in it is read for its half") {
  FakeSource source(16 * kChunk);
  source.known = {{0, 4 * kChunk + 4096, true},
                  {4 * kChunk + 4096, 8192, false},
                  {4 * kChunk + 12'288, 12 * kChunk - 12'288, true}};
  const Planned planned = plan_all(source);
  REQUIRE(planned.plans.size() == 1);
  CHECK(planned.plans[0].first_chunk == 4);
  CHECK(planned.plans[0].chunk_count == 1);
  CHECK(planned.plans[0].pieces == std::vector<Extent>{{4 * kChunk, 4096, true},
                                                       {4 * kChunk + 4096, 8192, false},
                                                       {4 * kChunk + 12'288, kChunk - 12'288, true}});
  CHECK(planned.passed_over == 15 * kChunk);
}

TEST_CASE("a last chunk that is short and zero is passed over") {
  FakeSource source(4 * kChunk + 17);
  source.known = {{0, kChunk, false}, {kChunk, 3 * kChunk + 17, true}};
  const Planned planned = plan_all(source);
  REQUIRE(planned.plans.size() == 1);
  CHECK(planned.passed_over == 3 * kChunk + 17);
}

TEST_CASE("a disk that is one hole costs one question for each answer and no plan") {
  FakeSource source(1ULL << 44);
  source.known = {{0, 1ULL << 44, true}};
  source.extents_answer_bytes = 1ULL << 32;
  const Planned planned = plan_all(source);
  CHECK(planned.plans.empty());
  CHECK(planned.passed_over == 1ULL << 44);
  CHECK(source.extents_calls == 4'096);
}

TEST_CASE("a source whose extents leave gaps, overlap or are empty is a read error, not a wrong backup") {
  for (const std::vector<Extent>& nonsense :
       std::vector<std::vector<Extent>>{{{4096, kChunk, true}}, {{0, 0, true}}, {{0, 100 * kChunk, true}}, {}}) {
    class Liar final : public BlockSource {
     public:
      explicit Liar(std::vector<Extent> answer) : answer_(std::move(answer)) {}
      const std::string& name() const override { return name_; }
      std::uint64_t size_bytes() const override { return 4 * kChunk; }
      unsigned max_in_flight() const override { return 1; }
      Result<std::vector<Extent>> extents(std::uint64_t, std::uint64_t) override { return answer_; }
      Status submit_read(std::uint64_t, std::size_t, ReadBuffer, ReadDone) override { return {}; }
      Result<bool> poll(int) override { return false; }

     private:
      const std::string name_ = "liar";
      const std::vector<Extent> answer_;
    } source(nonsense);
    ReadPlanner planner(source, VolumeGeometry{4 * kChunk, kChunk}, kRead);
    CHECK(planner.next().status().code() == Code::E_SOURCE_READ);
  }
}

TEST_CASE("only dirty regions are read and asked about; what lies between is unchanged") {
  FakeSource source(16 * kChunk + 100);
  source.known = {{0, 6 * kChunk, false}, {6 * kChunk, 4 * kChunk, true}, {10 * kChunk, 6 * kChunk + 100, false}};
  ListedRegions dirty({{kChunk, 2 * kChunk}, {5 * kChunk, 6 * kChunk}, {16 * kChunk, 100}});
  const Planned planned = plan_all(source, &dirty);
  REQUIRE(planned.plans.size() == 4);
  CHECK(planned.plans[0].pieces == std::vector<Extent>{{kChunk, 2 * kChunk, false}});
  CHECK(planned.plans[1].pieces == std::vector<Extent>{{5 * kChunk, kChunk, false}});
  CHECK(planned.plans[2].pieces == std::vector<Extent>{{10 * kChunk, kChunk, false}});
  CHECK(planned.plans[3].pieces == std::vector<Extent>{{16 * kChunk, 100, false}});
  CHECK(planned.passed_over_ranges == std::vector<Range>{{6 * kChunk, 4 * kChunk}});
  CHECK(planned.unchanged == 16 * kChunk + 100 - 2 * kChunk - 6 * kChunk - 100);
}

TEST_CASE("without a dirty region nothing is asked of the source, and all is unchanged") {
  FakeSource source(5 * kChunk + 7);
  ListedRegions dirty({});
  const Planned planned = plan_all(source, &dirty);
  CHECK(planned.plans.empty());
  CHECK(planned.unchanged == 5 * kChunk + 7);
  CHECK(source.extents_calls == 0);
}

TEST_CASE("whatever the holes: every byte is in one place, no known hole is read, no chunk with data is missed") {
  const unsigned seed = std::random_device{}();
  std::cout << "seed " << seed << "\n";
  std::mt19937_64 random(seed);
  for (int round = 0; round < 300; ++round) {
    CAPTURE(seed);
    CAPTURE(round);
    FakeSource source(1 + random() % (40 * kChunk));
    bool zero = random() % 2 != 0;
    for (std::uint64_t at = 0; at < source.size_bytes(); zero = !zero) {
      const std::uint64_t bound = random() % 2 != 0 ? 3ULL * kChunk : 9'000;
      const std::uint64_t length = std::min<std::uint64_t>(source.size_bytes() - at, 1 + random() % bound);
      source.known.push_back({at, length, zero});
      at += length;
    }
    source.extents_answer_bytes = 1 + random() % (10ULL * kChunk);
    const Planned planned = plan_all(source);

    std::uint64_t planned_bytes = 0, data_bytes = 0, known_data_bytes = 0, next_chunk = 0;
    for (const ReadPlan& plan : planned.plans) {
      REQUIRE(plan.first_chunk >= next_chunk);
      next_chunk = plan.first_chunk + plan.chunk_count;
      REQUIRE(plan.chunk_count * std::uint64_t{kChunk} <= kRead);
      std::uint64_t at = plan.first_chunk * kChunk;
      for (const Extent& piece : plan.pieces) {
        REQUIRE(piece.offset == at);
        at = piece.end();
        planned_bytes += piece.length;
        if (!piece.zero) data_bytes += piece.length;
      }
      REQUIRE(at == std::min(next_chunk * kChunk, source.size_bytes()));
    }
    for (const Extent& extent : source.known) known_data_bytes += extent.zero ? 0 : extent.length;
    REQUIRE(data_bytes == known_data_bytes);
    REQUIRE(planned_bytes + planned.passed_over == source.size_bytes());
  }
}

}  // namespace
}  // namespace vzv::test
