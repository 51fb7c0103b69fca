// Backups whose source, storage or user gives up: one clear error, every thread ended, nothing harmed.
#include <sys/resource.h>
#include <unistd.h>

#include <iostream>
#include <random>

#include "test/pipeline/fake_source.h"
#include "test/pipeline/repository.h"

namespace vzv::test {
namespace {

using Clock = std::chrono::steady_clock;

// A pipeline that hangs must fail the test, not stop it: SIGALRM ends the program with a message.
class Deadline {
 public:
  explicit Deadline(unsigned seconds) { ::alarm(seconds); }
  ~Deadline() { ::alarm(0); }
};

VolumeBackupOptions options_with_stall(int stall_timeout_ms) {
  VolumeBackupOptions options;
  options.chunk_size_bytes = kChunk;
  options.stall_timeout_ms = stall_timeout_ms;
  return options;
}

std::unique_ptr<FakeSource> full_disk(std::uint64_t size_bytes = 64 * kMiB) {
  auto source = std::make_unique<FakeSource>(size_bytes);
  source->add(0, random_pattern(size_bytes, 1));
  return source;
}

TEST_CASE("a read error, wherever it comes, is the error of the backup") {
  Deadline deadline(60);
  for (std::uint64_t at : {0ULL, 1ULL, 31ULL, 63ULL}) {
    CAPTURE(at);
    auto source = full_disk();
    source->fault = [at](std::uint64_t offset) {
      return offset == at * kMiB ? Status(Code::E_SOURCE_READ, "reading the fake disk: boom") : Status();
    };
    source->newest_first = at % 2 != 0;
    Repository repository;
    auto writer = repository.writer();
    BackupCounters counters;
    CancelToken cancel;
    auto result = backup_volume(*source, *writer, options_with_stall(10'000), counters, cancel);
    CHECK(result.status().code() == Code::E_SOURCE_READ);
    CHECK(result.status().message() == "reading the fake disk: boom");
  }
}

TEST_CASE("a source that stops answering is stalled, after its time and not before") {
  Deadline deadline(60);
  auto source = full_disk();
  source->silent = true;
  Repository repository;
  auto writer = repository.writer();
  BackupCounters counters;
  CancelToken cancel;
  const auto begun = Clock::now();
  auto result = backup_volume(*source, *writer, options_with_stall(300), counters, cancel);
  CHECK(result.status().code() == Code::E_SOURCE_STALLED);
  CHECK(result.status().message() == "reading the fake disk: no answer for 300 ms");
  CHECK(Clock::now() - begun >= std::chrono::milliseconds(300));
  CHECK(Clock::now() - begun < std::chrono::seconds(3));
}

TEST_CASE("cancelling ends a backup soon, wherever it is") {
  Deadline deadline(120);
  const unsigned seed = std::random_device{}();
  std::cout << "seed " << seed << "\n";
  std::mt19937_64 random(seed);
  for (int round = 0; round < 20; ++round) {
    CAPTURE(seed);
    CAPTURE(round);
    auto source = full_disk();
    source->silent = round % 4 == 0;
    CancelToken cancel;
    source->cancel = &cancel;
    Repository repository;
    auto writer = repository.writer();
    BackupCounters counters;
    VolumeBackupOptions options = options_with_stall(60'000);
    RateLimiter limiter(kMiB, RateLimiter::Clock::now());
    if (round % 4 == 1) options.limiter = &limiter;
    Clock::time_point cancelled;
    std::thread later([&, after = std::chrono::microseconds(random() % 60'000)] {
      std::this_thread::sleep_for(after);
      cancelled = Clock::now();
      cancel.cancel();
    });
    auto result = backup_volume(*source, *writer, options, counters, cancel);
    const auto ended = Clock::now();
    later.join();
    // A backup that was faster than its cancelling is a backup.
    if (result.ok()) continue;
    CHECK(result.status().code() == Code::E_CANCELLED);
    CHECK(ended - cancelled < std::chrono::seconds(1));
  }
}

TEST_CASE("a token that was cancelled before ends it at once") {
  Deadline deadline(30);
  auto source = full_disk();
  Repository repository;
  auto writer = repository.writer();
  BackupCounters counters;
  CancelToken cancel;
  cancel.cancel();
  CHECK(backup_volume(*source, *writer, options_with_stall(10'000), counters, cancel).status().code() ==
        Code::E_CANCELLED);
  CHECK(source->reads.empty());
}

TEST_CASE("a full storage is the error of the backup, ends it early, and leaves room for the next") {
  Deadline deadline(120);
  ScratchDirectory scratch;
  Mount mount({"-t", "tmpfs", "-o", "size=24m", "tmpfs"}, scratch / "small");
  Repository repository(scratch / "small/repository");
  BackupCounters counters;
  CancelToken cancel;
  FakeSource small(8 * kMiB);
  small.add(0, random_pattern(8 * kMiB, 2));
  const Volume kept = repository.backup(small, counters);
  {
    auto source = full_disk(256 * kMiB);
    auto writer = repository.writer();
    BackupCounters failed;
    auto result = backup_volume(*source, *writer, options_with_stall(10'000), failed, cancel);
    CHECK(result.status().code() == Code::E_NO_SPACE);
    INFO(result.status().message());
    CHECK(result.status().message().find('\n') == std::string::npos);
    CHECK(failed.read_bytes < 128 * kMiB);
  }
  CHECK((repository.restored(kept) == small.bytes()));
  BackupCounters again;
  const Volume second = repository.backup(small, again);
  CHECK(second.root == kept.root);
  FakeSource other(4 * kMiB);
  other.add(0, random_pattern(4 * kMiB, 3));
  BackupCounters more;
  CHECK((repository.restored(repository.backup(other, more)) == other.bytes()));
}

TEST_CASE("a source that fails while the storage fails too gives one error") {
  Deadline deadline(60);
  ScratchDirectory scratch;
  Mount mount({"-t", "tmpfs", "-o", "size=4m", "tmpfs"}, scratch / "small");
  for (int round = 0; round < 5; ++round) {
    Repository repository(scratch / "small/repository");
    auto source = full_disk();
    source->fault = [](std::uint64_t offset) {
      return offset >= 20 * kMiB ? Status(Code::E_SOURCE_READ, "reading the fake disk: boom") : Status();
    };
    auto writer = repository.writer();
    BackupCounters counters;
    CancelToken cancel;
    const Code code = backup_volume(*source, *writer, options_with_stall(10'000), counters, cancel).status().code();
    CHECK((code == Code::E_SOURCE_READ || code == Code::E_NO_SPACE));
  }
}

TEST_CASE("failed backups leave no descriptor and no thread behind") {
  Deadline deadline(60);
  const auto count = [](const char* directory) {
    std::size_t n = 0;
    for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(directory)) ++n;
    return n;
  };
  Repository repository;
  std::size_t descriptors = 0;
  std::size_t threads = 0;
  for (int round = 0; round < 10; ++round) {
    auto source = full_disk(16 * kMiB);
    source->fault = [](std::uint64_t offset) {
      return offset == 8 * kMiB ? Status(Code::E_SOURCE_READ, "boom") : Status();
    };
    auto writer = repository.writer();
    BackupCounters counters;
    CancelToken cancel;
    CHECK_FALSE(backup_volume(*source, *writer, options_with_stall(10'000), counters, cancel).ok());
    writer.reset();
    if (round == 0) descriptors = count("/proc/self/fd");
    if (round == 0) threads = count("/proc/self/task");
    CHECK(count("/proc/self/fd") <= descriptors + 1);  // the next round's token
    CHECK(count("/proc/self/task") <= threads);
  }
}

}  // namespace
}  // namespace vzv::test
