// Discards: what may go, when, and what a refusal does.
#include <algorithm>
#include <atomic>
#include <set>

#include "core/base/sha256.h"
#include "core/pipeline/discard_tracker.h"
#include "core/store/pack_reader.h"
#include "test/pipeline/fake_source.h"
#include "test/pipeline/listed_regions.h"
#include "test/pipeline/repository.h"

namespace vzv::test {
namespace {

constexpr std::uint64_t kGranule = limits::kDiscardGranuleBytes;

using Flag = std::shared_ptr<std::atomic<bool>>;
Flag unreached() { return std::make_shared<std::atomic<bool>>(false); }

std::vector<Range> all_of(DiscardTracker& tracker) {
  std::vector<Range> pieces;
  while (const auto piece = tracker.next()) pieces.push_back(*piece);
  return pieces;
}

TEST_CASE("whole granules are discarded, neighbours together, and the last one is cut at the volume's end") {
  DiscardTracker tracker(10 * kGranule + 100);
  for (std::uint64_t at = 0; at < 3 * kGranule; at += kChunk) tracker.add({at, kChunk}, Durability());
  CHECK(all_of(tracker) == std::vector<Range>{{0, 3 * kGranule}});
  // A piece that begins and ends within granules; what is left of it joins its neighbours.
  tracker.add({4 * kGranule + kChunk, 3 * kGranule}, Durability());
  CHECK(all_of(tracker) == std::vector<Range>{{5 * kGranule, 2 * kGranule}});
  tracker.add({7 * kGranule + kChunk, 3 * kGranule - kChunk + 100}, Durability());
  CHECK(all_of(tracker) == std::vector<Range>{{7 * kGranule, 3 * kGranule + 100}});
  CHECK(all_of(tracker).empty());
}

TEST_CASE("a granule waits for each of its chunks") {
  DiscardTracker tracker(4 * kGranule);
  std::vector<Flag> flags;
  for (std::uint64_t at = 0; at < 2 * kGranule; at += kChunk) {
    flags.push_back(unreached());
    tracker.add({at, kChunk}, Durability(flags.back()));
  }
  tracker.add({2 * kGranule, kGranule}, Durability());
  CHECK(all_of(tracker) == std::vector<Range>{{2 * kGranule, kGranule}});
  for (std::size_t i = 0; i < 7; ++i) flags[i]->store(true);
  CHECK(all_of(tracker).empty());
  for (std::size_t i = 8; i < flags.size() - 1; ++i) flags[i]->store(true);
  CHECK(all_of(tracker).empty());
  flags[7]->store(true);
  CHECK(all_of(tracker) == std::vector<Range>{{0, kGranule}});
  flags.back()->store(true);
  CHECK(all_of(tracker) == std::vector<Range>{{kGranule, kGranule}});
}

TEST_CASE("what was left out is never discarded, and breaks what is discarded together") {
  DiscardTracker tracker(100 * kGranule);
  tracker.add({0, kGranule}, Durability());
  tracker.add({2 * kGranule, kGranule + kChunk}, Durability());
  tracker.add({3 * kGranule + 2 * kChunk, kGranule - 2 * kChunk}, Durability());
  tracker.add({4 * kGranule, kGranule}, Durability());
  CHECK(all_of(tracker) == std::vector<Range>{{0, kGranule}, {2 * kGranule, kGranule}, {4 * kGranule, kGranule}});
}

TEST_CASE("a hole of 16 TiB goes in pieces, and is one entry while it waits") {
  DiscardTracker tracker(1ULL << 44);
  for (std::uint64_t at = 0; at < 1ULL << 44; at += 1ULL << 32) tracker.add({at, 1ULL << 32}, Durability());
  std::uint64_t sum = 0;
  for (const Range& piece : all_of(tracker)) {
    REQUIRE(piece.offset == sum);
    REQUIRE(piece.length <= limits::kDiscardMaxBytes);
    sum += piece.length;
  }
  CHECK(sum == 1ULL << 44);
}

TEST_CASE("what waits for one pack is one entry, however many chunks it has") {
  DiscardTracker tracker(1ULL << 44);
  const Flag pack = unreached();
  for (std::uint64_t i = 0; i < 10 * limits::kDiscardsWaitingMax; ++i) {
    tracker.add({i * kChunk, kChunk}, Durability(pack));
  }
  CHECK(all_of(tracker).empty());
  pack->store(true);
  std::uint64_t sum = 0;
  for (const Range& piece : all_of(tracker)) sum += piece.length;
  CHECK(sum == 10 * limits::kDiscardsWaitingMax * kChunk);
}

TEST_CASE("beyond its bound the tracker forgets the oldest, and only those") {
  DiscardTracker tracker(1ULL << 44);
  const Flag never = unreached();
  for (std::size_t i = 0; i < limits::kDiscardsWaitingMax + 10; ++i) {
    tracker.add({2 * i * kGranule, kGranule}, Durability(never));
  }
  never->store(true);
  const auto pieces = all_of(tracker);
  CHECK(pieces.size() == limits::kDiscardsWaitingMax);
  CHECK(pieces.front().offset == 20 * kGranule);
}

// A source that remembers its discards, and looks at the repository whenever one comes.
class DiscardedSource final : public BlockSource {
 public:
  explicit DiscardedSource(FakeSource& disk) : disk_(disk) {}

  const std::string& name() const override { return disk_.name(); }
  std::uint64_t size_bytes() const override { return disk_.size_bytes(); }
  unsigned max_in_flight() const override { return disk_.max_in_flight(); }
  Result<std::vector<Extent>> extents(std::uint64_t offset, std::uint64_t length) override {
    return disk_.extents(offset, length);
  }
  Status submit_read(std::uint64_t offset, std::size_t length, ReadBuffer buffer, ReadDone done) override {
    for (const Range& range : discarded) CHECK((offset + length <= range.offset || range.end() <= offset));
    return disk_.submit_read(offset, length, std::move(buffer), std::move(done));
  }
  Status submit_discard(std::uint64_t offset, std::uint64_t length, ReadDone done) override {
    if (on_discard) on_discard({offset, length});
    ++tried;
    const Status status = refuse ? refuse(tried) : Status();
    if (!status.ok() && refuse_at_once) return status;
    if (status.ok()) discarded.push_back({offset, length});
    waiting_.push_back([done = std::move(done), status] { done(status); });
    return {};
  }
  Result<bool> poll(int timeout_ms) override {
    if (waiting_.empty() || never_done) return disk_.poll(timeout_ms);
    auto done = std::move(waiting_.front());
    waiting_.pop_front();
    done();
    return true;
  }

  std::function<void(Range)> on_discard;
  std::function<Status(unsigned)> refuse;
  bool refuse_at_once = false;
  bool never_done = false;
  unsigned tried = 0;
  std::vector<Range> discarded;

 private:
  FakeSource& disk_;
  std::deque<std::function<void()>> waiting_;
};

struct DiscardRun {
  explicit DiscardRun(std::uint64_t size) : disk(size), source(disk) { options.chunk_size_bytes = kChunk; }

  VolumeBackupResult run(std::uint64_t pack_target_bytes = 8 * kMiB) {
    auto writer =
        expect(ChunkWriter::create(repository.dir, repository.index, {.pack_target_bytes = pack_target_bytes}));
    CancelToken cancel;
    options.discard = true;
    const VolumeBackupResult result = expect(backup_volume(source, *writer, options, counters, cancel));
    expect(writer->flush());
    return result;
  }

  Repository repository;
  FakeSource disk;
  DiscardedSource source;
  VolumeBackupOptions options;
  BackupCounters counters;
};

TEST_CASE("no range is discarded before every chunk in it can be read from the packs that are there") {
  const std::uint64_t size = 96 * kMiB + 100;
  DiscardRun run(size);
  run.disk.add(0, random_pattern(size, 1));
  // Chunks that come again while their pack is still open: reused, and not durable for that.
  const Bytes repeated = random_pattern(kChunk, 77);
  for (std::uint64_t at : {2, 30, 31, 32, 33, 60, 90}) run.disk.add(at * kMiB, repeated);
  const Bytes bytes = run.disk.bytes();
  // Which chunks are in durable packs is read from the packs' own tables, not asked of those who write them.
  std::uint64_t looked = 0;
  run.source.on_discard = [&](Range range) {
    std::set<Id> durable;
    Repository view(run.repository.path());
    for (const Id& pack : view.index->packs()) {
      const auto reader = expect(PackReader::open(*view.dir, pack));
      const auto table = expect(reader->table());
      for (const PackEntry& entry : table) durable.insert(entry.id);
    }
    for (std::uint64_t at = range.offset; at < range.end(); at += kChunk) {
      const std::uint64_t length = std::min<std::uint64_t>(kChunk, size - at);
      REQUIRE(durable.contains(sha256({bytes.data() + at, length})));
      ++looked;
    }
    CHECK(range.offset % kGranule == 0);
    CHECK((range.end() % kGranule == 0 || range.end() == size));
  };
  const VolumeBackupResult result = run.run();
  CHECK_FALSE(result.discard_refusal);
  CHECK(looked > 100);
  CHECK(run.counters.discarded_bytes >= 64 * kMiB);
  CHECK(run.counters.discarded_bytes < size);  // the last pack is finished by flush()
  CHECK((run.repository.restored({result.geometry, result.root}) == bytes));
}

TEST_CASE("while no pack can be published nothing is discarded") {
  DiscardRun run(64 * kMiB);
  run.disk.add(0, random_pattern(64 * kMiB, 1));
  // packs/ is a file: making a pack durable fails, and so does the backup.
  write_file(run.repository.path() + "/packs", Bytes{1});
  auto writer = run.repository.writer();
  CancelToken cancel;
  run.options.discard = true;
  CHECK_FALSE(backup_volume(run.source, *writer, run.options, run.counters, cancel).ok());
  CHECK(run.source.tried == 0);
}

TEST_CASE("holes, zeroes and what was stored before are discarded at once") {
  const std::uint64_t size = 200 * kMiB;
  DiscardRun run(size);
  run.disk.add(0, random_pattern(16 * kMiB, 1));
  run.disk.known = {{0, 100 * kMiB, false}, {100 * kMiB, 100 * kMiB, true}};
  run.run(64 * kMiB);
  // What is new waits for a pack that flush() finishes, and holds nothing else up.
  CHECK(run.counters.discarded_bytes.load() == size - 16 * kMiB);
  FakeSource same(size);
  same.add(0, random_pattern(16 * kMiB, 1));
  DiscardedSource source(same);
  auto writer = run.repository.writer();
  CancelToken cancel;
  BackupCounters counters;
  VolumeBackupOptions options;
  options.chunk_size_bytes = kChunk;
  options.discard = true;
  expect(backup_volume(source, *writer, options, counters, cancel));
  CHECK(counters.discarded_bytes == size);
}

// In order, neighbours as one: in how many pieces they are given back depends on when their chunks were ready.
std::vector<Range> joined(std::vector<Range> ranges) {
  std::sort(ranges.begin(), ranges.end(), [](const Range& a, const Range& b) { return a.offset < b.offset; });
  std::vector<Range> whole;
  for (const Range& range : ranges) {
    if (!whole.empty() && whole.back().end() == range.offset) {
      whole.back().length += range.length;
    } else {
      whole.push_back(range);
    }
  }
  return whole;
}

TEST_CASE("an incremental backup discards within its dirty regions only, whole granules") {
  const std::uint64_t size = 100 * kMiB;
  DiscardRun run(size);
  run.disk.add(0, random_pattern(size, 1));
  BackupCounters counters;
  const Volume base = run.repository.backup(run.disk, counters);
  // The last region is half a granule.
  ListedRegions regions({{8 * kMiB, 8 * kMiB}, {40 * kMiB, 4 * kMiB}, {60 * kMiB, 2 * kMiB}});
  run.options.incremental.emplace(IncrementalBase{regions, base.geometry, base.root, *run.repository.reader});
  CHECK(run.run().root == base.root);
  CHECK(joined(run.source.discarded) == std::vector<Range>{{8 * kMiB, 8 * kMiB}, {40 * kMiB, 4 * kMiB}});
  CHECK(run.counters.discarded_bytes == 12 * kMiB);
}

TEST_CASE("the first refusal ends discarding, is told, and fails nothing") {
  for (bool at_once : {false, true}) {
    CAPTURE(at_once);
    DiscardRun run(96 * kMiB);
    run.disk.add(0, random_pattern(96 * kMiB, 1));
    run.source.refuse_at_once = at_once;
    run.source.refuse = [](unsigned tried) {
      return tried >= 2 ? Status(Code::E_UNSUPPORTED, "the fake disk: not today") : Status();
    };
    const VolumeBackupResult result = run.run();
    CHECK(result.discard_refusal == "the fake disk: not today");
    CHECK(run.source.tried < 2 + limits::kDiscardsInFlight);
    CHECK(run.counters.discarded_bytes == run.source.discarded.front().length);
    CHECK((run.repository.restored({result.geometry, result.root}) == run.disk.bytes()));
  }
}

TEST_CASE("a discard that is never answered delays the end by the stall timeout, and fails nothing") {
  DiscardRun run(64 * kMiB);
  run.disk.add(0, random_pattern(64 * kMiB, 1));
  run.source.never_done = true;
  run.options.stall_timeout_ms = 300;
  const VolumeBackupResult result = run.run();
  REQUIRE(result.discard_refusal);
  CHECK(result.discard_refusal->find("no answer for 300 ms") != std::string::npos);
  CHECK((run.repository.restored({result.geometry, result.root}) == run.disk.bytes()));
}

TEST_CASE("a source that cannot discard says so, and a backup that does not ask never tries") {
  FakeSource plain(8 * kMiB);
  Repository repository;
  auto writer = repository.writer();
  CancelToken cancel;
  BackupCounters counters;
  VolumeBackupOptions options;
  options.chunk_size_bytes = kChunk;
  options.discard = true;
  const VolumeBackupResult result = expect(backup_volume(plain, *writer, options, counters, cancel));
  CHECK(result.discard_refusal == "the fake disk is not one whose ranges could be given back");
  DiscardedSource source(plain);
  options.discard = false;
  BackupCounters again;
  CHECK_FALSE(expect(backup_volume(source, *writer, options, again, cancel)).discard_refusal);
  CHECK(source.tried == 0);
}

}  // namespace
}  // namespace vzv::test
