// Incremental backups: only what changed is read, the map shares the rest with its base, and nothing else is believed.
#include <functional>
#include <iostream>
#include <random>
#include <set>

#include "core/base/sha256.h"
#include "core/store/map_node.h"
#include "test/pipeline/fake_source.h"
#include "test/pipeline/listed_regions.h"
#include "test/pipeline/repository.h"

namespace vzv::test {
namespace {

struct Outcome {
  Result<VolumeBackupResult> result{Status(Code::E_INTERNAL, "not run")};
  BackupCounters counters;
  std::uint64_t map_nodes_read = 0;
  std::uint64_t added_bytes = 0;
};

// Backs up over a base, with a reader of the base that has read nothing yet.
void back_up_over(Repository& repository, const Volume& base, BlockSource& source, std::vector<Range> dirty,
                  Outcome& outcome, std::uint32_t chunk_size_bytes = kChunk) {
  CancelToken cancel;
  auto writer = repository.writer();
  ChunkReader reader(repository.dir, repository.index, 16 * kMiB);
  ListedRegions regions(std::move(dirty));
  VolumeBackupOptions options;
  options.chunk_size_bytes = chunk_size_bytes;
  options.incremental.emplace(IncrementalBase{regions, base.geometry, base.root, reader});
  outcome.result = backup_volume(source, *writer, options, outcome.counters, cancel);
  outcome.map_nodes_read = reader.counters().chunks_read;
  if (outcome.result.ok()) expect(writer->flush());
  outcome.added_bytes = writer->added_bytes();
}

void check_all_counted(const BackupCounters& counters) {
  CHECK(counters.processed_bytes == counters.size_bytes);
  CHECK(counters.unchanged_bytes + counters.zero_bytes + counters.reused_bytes + counters.new_bytes ==
        counters.size_bytes);
}

// Ids of all nodes of a map.
std::set<Id> nodes_of(Repository& repository, const Volume& volume) {
  std::set<Id> nodes;
  const std::function<void(const Id&, unsigned, std::uint64_t)> visit = [&](const Id& id, unsigned level,
                                                                            std::uint64_t first) {
    if (id.is_zero() || !nodes.insert(id).second) return;
    const std::uint32_t children = map_node_children(volume.geometry.chunk_count(), level, first);
    const auto bytes = expect(repository.reader->read(id, ChunkType::kMapNode, map_node_bytes(children)));
    const std::vector<Id> ids = expect(decode_map_node(*bytes, level, children));
    if (level == 0) return;
    for (std::size_t i = 0; i < ids.size(); ++i) visit(ids[i], level - 1, first + i * map_child_chunks(level));
  };
  visit(volume.root, volume.geometry.levels() - 1, 0);
  return nodes;
}

// Data at 0, in the middle and at the end of a disk that is mostly hole.
std::unique_ptr<FakeSource> sparse_disk(std::uint64_t size, std::uint64_t seed = 1) {
  auto source = std::make_unique<FakeSource>(size);
  source->add(0, random_pattern(2 * kMiB, seed));
  source->add(size / 2 / kMiB * kMiB, random_pattern(2 * kMiB, seed + 1));
  source->add(size - 100, random_pattern(100, seed + 2));
  return source;
}

TEST_CASE("64 GiB with 16 MiB dirty: no more is read, and the map costs a path for each region") {
  const std::uint64_t size = 64 * kGiB;
  auto first = sparse_disk(size);
  first->known = {{0, 2 * kMiB, false},
                  {2 * kMiB, size / 2 - 2 * kMiB, true},
                  {size / 2, 2 * kMiB, false},
                  {size / 2 + 2 * kMiB, size / 2 - 6 * kMiB, true},
                  {size - 4 * kMiB, 4 * kMiB, false}};
  Repository repository;
  BackupCounters counters;
  const Volume base = repository.backup(*first, counters);

  auto second = sparse_disk(size);
  std::vector<Range> dirty;
  for (std::uint64_t i = 0; i < 4; ++i) {
    const std::uint64_t offset = (10 + i * 15) * kGiB;
    second->add(offset, random_pattern(4 * kMiB, 100 + i));
    dirty.push_back({offset, 4 * kMiB});
  }
  Outcome outcome;
  back_up_over(repository, base, *second, dirty, outcome);
  const VolumeBackupResult result = expect(outcome.result);
  check_all_counted(outcome.counters);
  CHECK(outcome.counters.read_bytes == 16 * kMiB);
  CHECK(outcome.counters.unchanged_bytes == size - 16 * kMiB);
  CHECK(outcome.counters.new_bytes == 16 * kMiB);
  CHECK(outcome.counters.written_bytes <= 16 * kMiB + 4096);
  // The root and inner nodes on the way; leaves that were zero are not read.
  CHECK(outcome.map_nodes_read <= 1 + 4 * 2);
  CHECK(outcome.added_bytes <= 16 * kMiB + kMiB);
  // Nothing was looked at outside.
  for (const Extent& read : second->reads) {
    CHECK(std::any_of(dirty.begin(), dirty.end(),
                      [&](const Range& range) { return read.offset >= range.offset && read.end() <= range.end(); }));
  }
  const std::set<Id> old_nodes = nodes_of(repository, base);
  const std::set<Id> new_nodes = nodes_of(repository, {result.geometry, result.root});
  std::size_t fresh = 0;
  for (const Id& id : new_nodes) fresh += old_nodes.contains(id) ? 0 : 1;
  CHECK(fresh <= 1 + 4 * 2);
  CHECK(fresh < new_nodes.size());
}

TEST_CASE("no dirty region: the base's root, and nothing is read or written") {
  auto source = sparse_disk(100 * kMiB + 5);
  Repository repository;
  BackupCounters counters;
  const Volume base = repository.backup(*source, counters);
  source->reads.clear();
  source->extents_calls = 0;
  const std::size_t packs = repository.index->packs().size();
  Outcome outcome;
  back_up_over(repository, base, *source, {}, outcome);
  CHECK(expect(outcome.result).root == base.root);
  check_all_counted(outcome.counters);
  CHECK(outcome.counters.unchanged_bytes == 100 * kMiB + 5);
  CHECK(source->reads.empty());
  CHECK(source->extents_calls == 0);
  CHECK(outcome.map_nodes_read == 0);
  CHECK(outcome.added_bytes == 0);
  CHECK(repository.index->packs().size() == packs);
}

TEST_CASE("all dirty is a full backup with the same root, and stores nothing that was there") {
  auto source = sparse_disk(100 * kMiB + 5);
  Repository repository;
  BackupCounters counters;
  const Volume base = repository.backup(*source, counters);
  Outcome outcome;
  back_up_over(repository, base, *source, {{0, 100 * kMiB + 5}}, outcome);
  CHECK(expect(outcome.result).root == base.root);
  check_all_counted(outcome.counters);
  CHECK(outcome.counters.unchanged_bytes == 0);
  CHECK(outcome.counters.new_bytes == 0);
}

TEST_CASE("what became zero is zero in the new map: read as zeroes, or a hole in a dirty region, or all of it") {
  const std::uint64_t size = 300 * kMiB + 12'345;
  FakeSource full(size);
  full.add(0, random_pattern(size, 3));
  Repository repository;
  BackupCounters counters;
  const Volume base = repository.backup(full, counters);

  // [8 MiB, 16 MiB) is zero without anybody knowing, [64 MiB, 264 MiB) is a hole, which holds a whole leaf of the map.
  FakeSource punched(size);
  Bytes bytes = full.bytes();
  std::fill(bytes.begin() + 8 * kMiB, bytes.begin() + 16 * kMiB, 0);
  std::fill(bytes.begin() + 64 * kMiB, bytes.begin() + 264 * kMiB, 0);
  punched.add(0, bytes);
  punched.known = {{0, 64 * kMiB, false}, {64 * kMiB, 200 * kMiB, true}, {264 * kMiB, size - 264 * kMiB, false}};
  Outcome outcome;
  back_up_over(repository, base, punched, {{8 * kMiB, 8 * kMiB}, {60 * kMiB, 208 * kMiB}}, outcome);
  const VolumeBackupResult result = expect(outcome.result);
  check_all_counted(outcome.counters);
  CHECK(outcome.counters.read_bytes == 16 * kMiB);
  CHECK(outcome.counters.zero_bytes == 208 * kMiB);
  CHECK((repository.restored({result.geometry, result.root}) == bytes));
  // The same map as that of a full backup: maps are canonical.
  BackupCounters whole;
  CHECK(repository.backup(punched, whole).root == result.root);

  FakeSource empty(size);
  empty.known = {{0, size, true}};
  Outcome emptied;
  back_up_over(repository, base, empty, {{0, size}}, emptied);
  CHECK(expect(emptied.result).root.is_zero());
  check_all_counted(emptied.counters);
}

TEST_CASE("a disk of odd size whose end is dirty") {
  for (std::uint32_t chunk : {256 * kKiB, 4096 * kKiB}) {
    const std::uint64_t size = 20 * kMiB + 777;
    FakeSource first(size), second(size);
    first.add(0, random_pattern(size, 1));
    Bytes bytes = first.bytes();
    for (std::uint64_t at = 20 * kMiB; at < size; ++at) bytes[at] ^= 0x55;
    second.add(0, bytes);
    Repository repository;
    BackupCounters counters;
    const Volume base = repository.backup(first, counters, chunk);
    Outcome outcome;
    back_up_over(repository, base, second, {{20 * kMiB, 777}}, outcome, chunk);
    const VolumeBackupResult result = expect(outcome.result);
    check_all_counted(outcome.counters);
    CHECK(outcome.counters.read_bytes == 777);
    CHECK((repository.restored({result.geometry, result.root}) == bytes));
  }
}

TEST_CASE("the new volume is complete by itself: without what only its base had, it comes back") {
  const std::uint64_t size = 64 * kMiB;
  FakeSource first(size), second(size);
  first.add(0, random_pattern(size, 1));
  Bytes bytes = first.bytes();
  const Bytes change = random_pattern(4 * kMiB, 2);
  std::copy(change.begin(), change.end(), bytes.begin() + 32 * kMiB);
  second.add(0, bytes);
  Repository repository;
  BackupCounters counters;
  const Volume base = repository.backup(first, counters);
  const std::set<Id> base_nodes = nodes_of(repository, base);
  Outcome outcome;
  back_up_over(repository, base, second, {{32 * kMiB, 4 * kMiB}}, outcome);
  const VolumeBackupResult result = expect(outcome.result);
  // The packs of the base's own map go, as if the base had been forgotten and collected.
  const std::set<Id> nodes = nodes_of(repository, {result.geometry, result.root});
  for (const Id& id : base_nodes) {
    if (nodes.contains(id)) continue;
    const auto place = repository.index->find(id, ChunkType::kMapNode);
    REQUIRE(place);
    CHECK(expect(repository.dir->remove(pack_name(place->pack))));
  }
  repository.reopen();
  CHECK((repository.restored({result.geometry, result.root}) == bytes));
  MapReader gone(base.geometry, base.root, *repository.reader);
  CHECK(gone.chunk(0).status().code() == Code::E_CHUNK_MISSING);
}

TEST_CASE("regions that make no sense fail the backup, and nothing is taken for a base that does not fit") {
  const std::uint64_t size = 16 * kMiB + 100;
  FakeSource source(size);
  source.add(0, random_pattern(size, 1));
  Repository repository;
  BackupCounters counters;
  const Volume base = repository.backup(source, counters);
  const std::vector<std::vector<Range>> nonsense = {
      {{4096, 4 * kMiB}},                            // begins within a chunk
      {{0, 4 * kMiB + 65'536}},                      // ends within one
      {{0, 0}},                                      // is empty
      {{16 * kMiB, 101}},                            // passes the end
      {{32 * kMiB, 4 * kMiB}},                       // begins behind it
      {{0, ~0ULL}},                                  // overflows
      {{4 * kMiB, ~0ULL - 2 * kMiB}},                // overflows to a lower end
      {{8 * kMiB, 4 * kMiB}, {4 * kMiB, 4 * kMiB}},  // goes back
      {{4 * kMiB, 8 * kMiB}, {8 * kMiB, 4 * kMiB}},  // overlaps
      {{4 * kMiB, 4 * kMiB}, {4 * kMiB, 4 * kMiB}},  // comes twice
  };
  for (std::size_t i = 0; i < nonsense.size(); ++i) {
    CAPTURE(i);
    Outcome outcome;
    back_up_over(repository, base, source, nonsense[i], outcome);
    CHECK(outcome.result.status().code() == Code::E_SOURCE_BITMAP);
    CHECK(outcome.result.status().message().find("the fake disk") != std::string::npos);
  }
  Outcome other_size;
  back_up_over(repository, {*VolumeGeometry::make(size + 1, kChunk), base.root}, source, {}, other_size);
  CHECK(other_size.result.status().code() == Code::E_ARGUMENT_INVALID);
  Outcome other_chunks;
  back_up_over(repository, base, source, {}, other_chunks, 1024 * kKiB);
  CHECK(other_chunks.result.status().code() == Code::E_ARGUMENT_INVALID);
}

TEST_CASE("a base whose map is gone fails the backup with what is missing") {
  FakeSource source(16 * kMiB);
  source.add(0, random_pattern(16 * kMiB, 1));
  Repository repository;
  Outcome outcome;
  back_up_over(repository, {*VolumeGeometry::make(16 * kMiB, kChunk), sha256(Bytes{1})}, source, {{0, 4 * kMiB}},
               outcome);
  CHECK(outcome.result.status().code() == Code::E_CHUNK_MISSING);
}

TEST_CASE("an error of the regions is that of the backup, wherever it comes") {
  class Failing final : public DirtyRegions {
   public:
    explicit Failing(std::uint64_t after) : after_(after) {}
    Result<std::optional<Range>> next() override {
      if (told_ == after_) return Status(Code::E_SOURCE_STALLED, "no more");
      return std::optional(Range{told_++ * 4 * kMiB, 4 * kMiB});
    }

   private:
    const std::uint64_t after_;
    std::uint64_t told_ = 0;
  };
  const Bytes bytes = random_pattern(64 * kMiB, 1);
  FakeSource first(64 * kMiB);
  first.add(0, bytes);
  Repository repository;
  BackupCounters counters;
  const Volume base = repository.backup(first, counters);
  for (std::uint64_t after : {0, 1, 15}) {
    // Each its own: after an error a source can only be destroyed.
    FakeSource source(64 * kMiB);
    source.add(0, bytes);
    CancelToken cancel;
    auto writer = repository.writer();
    Failing regions(after);
    VolumeBackupOptions options;
    options.chunk_size_bytes = kChunk;
    options.incremental.emplace(IncrementalBase{regions, base.geometry, base.root, *repository.reader});
    BackupCounters failed;
    CHECK(backup_volume(source, *writer, options, failed, cancel).status().code() == Code::E_SOURCE_STALLED);
  }
}

TEST_CASE("whatever changes, an incremental backup has the root of a full one") {
  const unsigned seed = std::random_device{}();
  std::cout << "seed " << seed << "\n";
  std::mt19937_64 random(seed);
  Repository repository;
  const std::uint64_t size = 90 * kMiB + 1 + random() % (4 * kMiB);
  constexpr std::uint64_t kGranule = 4 * kMiB;
  Bytes bytes(size);
  FakeSource blank(size);
  BackupCounters counters;
  Volume base = repository.backup(blank, counters);
  for (int round = 0; round < 30; ++round) {
    CAPTURE(seed);
    CAPTURE(round);
    std::set<std::uint64_t> granules;
    for (unsigned i = 0; i < random() % 12; ++i) {
      const std::uint64_t granule = random() % ((size + kGranule - 1) / kGranule);
      granules.insert(granule);
      const std::uint64_t from = granule * kGranule, to = std::min(size, from + kGranule);
      const unsigned kind = random() % 3;
      if (kind == 0) std::fill(bytes.begin() + from, bytes.begin() + to, 0);
      if (kind == 1) {
        const Bytes pattern = random_pattern(random() % (to - from), random());
        std::copy(pattern.begin(), pattern.end(), bytes.begin() + from);
      }
    }
    FakeSource source(size);
    source.add(0, bytes);
    std::vector<Range> dirty;
    for (const std::uint64_t granule : granules) {
      const std::uint64_t from = granule * kGranule, to = std::min(size, from + kGranule);
      if (!dirty.empty() && dirty.back().end() == from && random() % 2 != 0) {
        dirty.back().length += to - from;
      } else {
        dirty.push_back({from, to - from});
      }
    }
    // Holes are known where a granule is zero, now and then.
    for (std::uint64_t from = 0; from < size; from += kGranule) {
      const std::uint64_t to = std::min(size, from + kGranule);
      const bool zero = std::all_of(bytes.begin() + from, bytes.begin() + to, [](std::uint8_t b) { return b == 0; });
      source.known.push_back({from, to - from, zero && random() % 2 != 0});
    }
    Outcome outcome;
    back_up_over(repository, base, source, dirty, outcome);
    const VolumeBackupResult result = expect(outcome.result);
    check_all_counted(outcome.counters);
    BackupCounters full;
    REQUIRE(repository.backup(source, full).root == result.root);
    REQUIRE(full.new_bytes == 0);
    base = {result.geometry, result.root};
  }
  CHECK((repository.restored(base) == bytes));
}

}  // namespace
}  // namespace vzv::test
