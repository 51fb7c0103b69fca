// A volume goes in and comes back byte for byte.
#include <iostream>
#include <random>

#include "test/pipeline/fake_source.h"
#include "test/pipeline/repository.h"

namespace vzv::test {
namespace {

TEST_CASE("a file goes in and comes back, with holes, odd size and repeated data") {
  ScratchDirectory scratch;
  const std::string disk = scratch / "disk";
  const Bytes repeated = random_pattern(kChunk, 7);
  write_sparse(disk, 50 * kMiB + 1'234,
               {{0, random_pattern(3 * kMiB, 1)},
                {10 * kMiB, repeated},
                {20 * kMiB, repeated},
                {50 * kMiB + 34, random_pattern(1'200, 2)}});
  Repository repository;
  BackupCounters counters;
  const Volume volume = repository.backup(FileAddress{disk}, counters);
  check_complete(counters);
  CHECK(counters.read_bytes == 4 * kMiB + 1'234);
  CHECK(counters.reused_bytes == kChunk);
  CHECK((repository.restored(volume) == read_file(disk)));

  BackupCounters again;
  const Volume second = repository.backup(FileAddress{disk}, again);
  check_complete(again);
  CHECK(second.root == volume.root);
  CHECK(again.new_bytes == 0);
  repository.reopen();
  CHECK((repository.restored(second) == read_file(disk)));
}

TEST_CASE("every chunk size, and volumes around its edges") {
  for (std::uint32_t chunk : {256 * kKiB, 512 * kKiB, 1024 * kKiB, 4096 * kKiB}) {
    for (std::uint64_t size :
         std::initializer_list<std::uint64_t>{0, 1, 511, chunk - 1, chunk, chunk + 1, 3 * chunk, 3 * chunk + 512}) {
      CAPTURE(chunk);
      CAPTURE(size);
      FakeSource source(size);
      if (size > 0) source.add(0, random_pattern(size, size + chunk));
      Repository repository;
      BackupCounters counters;
      const Volume volume = repository.backup(source, counters, chunk);
      check_complete(counters);
      CHECK(counters.read_bytes == size);
      CHECK((repository.restored(volume) == source.bytes()));
    }
  }
}

TEST_CASE("a volume that is all zero has the zero root and stores nothing, whether or not its holes are known") {
  for (bool known : {false, true}) {
    FakeSource source(20 * kMiB + 5);
    if (known) source.known = {{0, 20 * kMiB + 5, true}};
    Repository repository;
    BackupCounters counters;
    const Volume volume = repository.backup(source, counters);
    check_complete(counters);
    CHECK(volume.root.is_zero());
    CHECK(counters.zero_bytes == 20 * kMiB + 5);
    CHECK(counters.read_bytes == (known ? 0 : 20 * kMiB + 5));
    CHECK(repository.index->packs().empty());
  }
}

TEST_CASE("16 TiB of hole with a chunk at each end take no time and two map paths") {
  const std::uint64_t size = 1ULL << 44;
  FakeSource source(size);
  source.add(0, random_pattern(100, 1));
  source.add(size - 100, random_pattern(100, 2));
  source.known = {{0, 4096, false}, {4096, size - 8192, true}, {size - 4096, 4096, false}};
  source.extents_answer_bytes = 0xFFFF'0000;
  Repository repository;
  BackupCounters counters;
  const auto begun = std::chrono::steady_clock::now();
  const Volume volume = repository.backup(source, counters);
  CHECK(std::chrono::steady_clock::now() - begun < std::chrono::seconds(2));
  check_complete(counters);
  CHECK(counters.read_bytes == 8192);
  MapReader map(volume.geometry, volume.root, *repository.reader);
  CHECK(volume.geometry.levels() == 4);
  CHECK(expect(map.next_data(1)) == volume.geometry.chunk_count() - 1);
}

TEST_CASE("the order in which reads finish does not matter, and no more are in flight than the source takes") {
  FakeSource source(64 * kMiB);
  source.add(0, random_pattern(64 * kMiB, 3));
  source.newest_first = true;
  source.in_flight_max = 5;
  Repository repository;
  BackupCounters counters;
  const Volume volume = repository.backup(source, counters);
  CHECK(source.most_in_flight <= 5);
  CHECK(source.most_in_flight > 1);
  CHECK((repository.restored(volume) == source.bytes()));
}

TEST_CASE("the reads in flight stay within the buffers, whatever the source takes") {
  FakeSource source(256 * kMiB);
  source.in_flight_max = 10'000;
  Repository repository;
  BackupCounters counters;
  repository.backup(source, counters, 4096 * kKiB);
  CHECK(source.most_in_flight <= 8);
}

TEST_CASE("a volume with any pattern of data, zeroes and holes comes back") {
  const unsigned seed = std::random_device{}();
  std::cout << "seed " << seed << "\n";
  std::mt19937_64 random(seed);
  Repository repository;
  for (int round = 0; round < 25; ++round) {
    CAPTURE(seed);
    CAPTURE(round);
    FakeSource source(1 + random() % (24 * kMiB));
    for (std::uint64_t at = 0; at < source.size_bytes();) {
      const std::uint64_t length = std::min<std::uint64_t>(source.size_bytes() - at, 1 + random() % (2 * kMiB));
      const unsigned kind = random() % 4;
      // Data, known holes, zeroes that nobody knows of, and data that comes up again and again.
      if (kind == 0) source.add(at, random_pattern(length, random()));
      if (kind == 1) source.add(at, random_pattern(length, 42));
      source.known.push_back({at, length, kind == 2});
      at += length;
    }
    source.newest_first = random() % 2 != 0;
    source.in_flight_max = 1 + random() % 16;
    source.extents_answer_bytes = 1 + random() % (8 * kMiB);
    BackupCounters counters;
    const Volume volume = repository.backup(source, counters, random() % 2 != 0 ? 256 * kKiB : 1024 * kKiB);
    check_complete(counters);
    REQUIRE((repository.restored(volume) == source.bytes()));
  }
}

TEST_CASE("several volumes go through one writer at once, and what they share is stored once") {
  Repository repository;
  auto writer = repository.writer();
  const Bytes shared = random_pattern(16 * kMiB, 5);
  std::vector<std::unique_ptr<FakeSource>> sources;
  std::vector<BackupCounters> counters(3);
  std::vector<Result<VolumeBackupResult>> results(3, Status(Code::E_INTERNAL, "not run"));
  std::vector<std::thread> threads;
  CancelToken cancel;
  VolumeBackupOptions options;
  options.chunk_size_bytes = kChunk;
  for (int i = 0; i < 3; ++i) {
    sources.push_back(std::make_unique<FakeSource>(20 * kMiB));
    sources[i]->add(0, shared);
    sources[i]->add(18 * kMiB, random_pattern(kMiB, 100 + i));
  }
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&, i] { results[i] = backup_volume(*sources[i], *writer, options, counters[i], cancel); });
  }
  for (std::thread& thread : threads) thread.join();
  expect(writer->flush());
  std::uint64_t stored = 0;
  for (int i = 0; i < 3; ++i) {
    const VolumeBackupResult result = expect(std::move(results[i]));
    CHECK((repository.restored({result.geometry, result.root}) == sources[i]->bytes()));
    stored += counters[i].new_bytes;
  }
  CHECK(stored == 16 * kMiB + 3 * kMiB);
}

TEST_CASE("the bandwidth limit holds within five per cent, and the bytes are the same") {
  FakeSource source(6 * kMiB);
  source.add(0, random_pattern(6 * kMiB, 8));
  Repository repository;
  auto writer = repository.writer();
  VolumeBackupOptions options;
  options.chunk_size_bytes = kChunk;
  RateLimiter limiter(2 * kMiB, RateLimiter::Clock::now());
  options.limiter = &limiter;
  BackupCounters counters;
  CancelToken cancel;
  const auto begun = std::chrono::steady_clock::now();
  const VolumeBackupResult result = expect(backup_volume(source, *writer, options, counters, cancel));
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begun;
  CHECK(took.count() > 3.0 * 0.95);
  CHECK(took.count() < 3.0 * 1.10);
  for (const Extent& read : source.reads) CHECK(read.length <= 2 * kMiB / 8);
  expect(writer->flush());
  CHECK((repository.restored({result.geometry, result.root}) == source.bytes()));
}

TEST_CASE("a chunk size that the format does not name is refused") {
  FakeSource source(kMiB);
  Repository repository;
  auto writer = repository.writer();
  VolumeBackupOptions options;
  options.chunk_size_bytes = 12'345;
  BackupCounters counters;
  CancelToken cancel;
  CHECK(backup_volume(source, *writer, options, counters, cancel).status().code() == Code::E_ARGUMENT_INVALID);
}

}  // namespace
}  // namespace vzv::test
