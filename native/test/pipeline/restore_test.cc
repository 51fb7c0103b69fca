// Restores to new files, old files and block devices, and what happens when they cannot be finished.
#include <fcntl.h>
#include <unistd.h>

#include "test/pipeline/fake_source.h"
#include "test/pipeline/repository.h"
#include "test/support/child_process.h"

namespace vzv::test {
namespace {

// A volume with holes of every kind: known, found, at the end, and a short last chunk.
struct Stored {
  FakeSource source{20 * kMiB + 1'000};
  Repository repository;
  BackupCounters counters;
  Volume volume;

  Stored() {
    source.add(0, random_pattern(kMiB, 1));
    source.add(8 * kMiB, random_pattern(3 * kMiB, 2));
    source.add(20 * kMiB + 10, random_pattern(900, 3));
    volume = repository.backup(source, counters);
  }

  Status restore(const std::string& path, bool overwrite, CopyCounters& copied) {
    CancelToken cancel;
    MapReader map(volume.geometry, volume.root, *repository.reader);
    return restore_volume(map, *repository.reader, {path, overwrite}, copied, cancel);
  }
  Code restore_code(const std::string& path, bool overwrite) {
    CopyCounters copied;
    return restore(path, overwrite, copied).code();
  }
};

TEST_CASE("a new file is sparse where the volume is, and no hole is read from the repository") {
  Stored stored;
  ScratchDirectory scratch;
  CopyCounters copied;
  const std::uint64_t before = stored.repository.reader->counters().chunks_read;
  expect(stored.restore(scratch / "disk", false, copied));
  CHECK((read_file(scratch / "disk") == stored.source.bytes()));
  CHECK(copied.total_bytes == 20 * kMiB + 1'000);
  CHECK(copied.processed_bytes == copied.total_bytes);
  CHECK(copied.hole_bytes == 16 * kMiB);
  CHECK(allocated_bytes(scratch / "disk") < 5 * kMiB);
  // Two chunks, six, the last one, and the one map node.
  CHECK(stored.repository.reader->counters().chunks_read - before == 2 + 6 + 1 + 1);
}

TEST_CASE("zeroes within a chunk take no space in a file, wherever they stand") {
  FakeSource source(16 * kMiB);
  for (std::uint64_t at : {0 * kMiB, kMiB / 10, 4 * kMiB + 65'535, 8 * kMiB - 1, 12 * kMiB + 70'000}) {
    source.add(at, random_pattern(3, at + 1));
  }
  Repository repository;
  BackupCounters counters;
  const Volume volume = repository.backup(source, counters, 4096 * kKiB);
  ScratchDirectory scratch;
  CopyCounters copied;
  repository.restore(volume, scratch / "disk", copied);
  CHECK((read_file(scratch / "disk") == source.bytes()));
  // Beside the data one block of the file system for the list of its extents, which ext4 counts where they are many.
  CHECK(allocated_bytes(scratch / "disk") <= 7 * 64 * kKiB + 4 * kKiB);
}

TEST_CASE("an existing file is refused, or overwritten whole: nothing of it shows in the holes") {
  Stored stored;
  ScratchDirectory scratch;
  const Bytes old = random_pattern(30 * kMiB, 9);
  write_file(scratch / "disk", old);
  CopyCounters refused;
  const Status status = stored.restore(scratch / "disk", false, refused);
  CHECK(status.code() == Code::E_TARGET_EXISTS);
  CHECK(status.message() == (scratch / "disk") + " exists already");
  CHECK((read_file(scratch / "disk") == old));
  CopyCounters copied;
  expect(stored.restore(scratch / "disk", true, copied));
  CHECK((read_file(scratch / "disk") == stored.source.bytes()));
}

TEST_CASE("a block device gets real zeroes, and keeps what lies beyond the volume") {
  Stored stored;
  ScratchDirectory scratch;
  const Bytes old = random_pattern(24 * kMiB, 10);
  write_file(scratch / "device", old);
  LoopDevice loop(scratch / "device");
  CHECK(stored.restore_code(loop.path(), false) == Code::E_TARGET_EXISTS);
  CopyCounters copied;
  expect(stored.restore(loop.path(), true, copied));
  const Bytes after = read_file(loop.path());
  const Bytes expected = stored.source.bytes();
  CHECK(std::equal(expected.begin(), expected.end(), after.begin()));
  CHECK(std::equal(after.begin() + static_cast<std::ptrdiff_t>(expected.size()), after.end(),
                   old.begin() + static_cast<std::ptrdiff_t>(expected.size())));
}

TEST_CASE("a volume that ends in a hole of no whole block is zeroed to its last byte") {
  FakeSource source(kMiB + 700);
  source.add(0, random_pattern(100, 1));
  Repository repository;
  BackupCounters counters;
  const Volume volume = repository.backup(source, counters);
  ScratchDirectory scratch;
  write_file(scratch / "device", random_pattern(2 * kMiB, 4));
  LoopDevice loop(scratch / "device");
  CopyCounters copied;
  repository.restore(volume, loop.path(), copied, true);
  const Bytes after = read_file(loop.path());
  const Bytes expected = source.bytes();
  CHECK(std::equal(expected.begin(), expected.end(), after.begin()));
  const Bytes old = random_pattern(2 * kMiB, 4);
  CHECK(after[kMiB + 700] == old[kMiB + 700]);
}

TEST_CASE("a block device that is too small or mounted is refused before anything is written") {
  Stored stored;
  ScratchDirectory scratch;
  write_sparse(scratch / "device", 8 * kMiB, {});
  LoopDevice loop(scratch / "device");
  CopyCounters copied;
  const Status small = stored.restore(loop.path(), true, copied);
  CHECK(small.code() == Code::E_TARGET_WRITE);
  CHECK(small.message() == loop.path() + " has 8388608 bytes, the disk has 20972520");

  write_sparse(scratch / "mounted", 32 * kMiB, {});
  run({"mkfs.ext4", "-q", scratch / "mounted"});
  LoopDevice in_use(scratch / "mounted");
  Mount mount({in_use.path()}, scratch / "mount");
  CopyCounters none;
  const Status busy = stored.restore(in_use.path(), true, none);
  CHECK(busy.code() == Code::E_TARGET_WRITE);
  CHECK(busy.message() == "opening " + in_use.path() + ": Device or resource busy");
  CHECK(none.processed_bytes == 0);
}

TEST_CASE("what is no place for a disk is refused") {
  Stored stored;
  ScratchDirectory scratch;
  CHECK(stored.restore_code(scratch / "absent/disk", false) == Code::E_TARGET_WRITE);
  CHECK(stored.restore_code(scratch.path(), true) == Code::E_TARGET_WRITE);
  CHECK(stored.restore_code("/dev/null", true) == Code::E_TARGET_WRITE);
}

TEST_CASE("a target that fills up is an error, and no half-restored disk stays") {
  Stored stored;
  ScratchDirectory scratch;
  Mount mount({"-t", "tmpfs", "-o", "size=1m", "tmpfs"}, scratch / "small");
  CopyCounters copied;
  const Status status = stored.restore(scratch / "small/disk", false, copied);
  CHECK(status.code() == Code::E_TARGET_WRITE);
  CHECK(status.message() == "writing " + (scratch / "small/disk") + ": No space left on device");
  CHECK_FALSE(std::filesystem::exists(scratch / "small/disk"));
}

TEST_CASE("a damaged chunk ends the restore, and no half-restored disk stays") {
  Stored stored;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(stored.repository.path() + "/packs")) {
    if (!entry.is_regular_file() || entry.file_size() < kMiB) continue;
    const UniqueFd pack(::open(entry.path().c_str(), O_RDWR | O_CLOEXEC));
    REQUIRE(::pwrite(pack.get(), "damage", 6, 1'000'000) == 6);
  }
  ScratchDirectory scratch;
  CopyCounters copied;
  const Status status = stored.restore(scratch / "disk", false, copied);
  CHECK(status.code() == Code::E_CHUNK_DAMAGED);
  CHECK_FALSE(std::filesystem::exists(scratch / "disk"));
}

TEST_CASE("a cancelled restore ends soon and leaves no new file") {
  FakeSource source(128 * kMiB);
  source.add(0, random_pattern(128 * kMiB, 1));
  Repository repository;
  BackupCounters counters;
  const Volume volume = repository.backup(source, counters);
  ScratchDirectory scratch;
  MapReader map(volume.geometry, volume.root, *repository.reader);
  CancelToken cancel;
  CopyCounters copied;
  std::thread later([&] {
    while (copied.processed_bytes == 0) std::this_thread::yield();
    cancel.cancel();
  });
  const Status status = restore_volume(map, *repository.reader, {scratch / "disk", false}, copied, cancel);
  later.join();
  CHECK(status.code() == Code::E_CANCELLED);
  CHECK_FALSE(std::filesystem::exists(scratch / "disk"));
}

TEST_CASE("8 TiB of hole are restored in a moment") {
  FakeSource source(1ULL << 43);
  source.add((1ULL << 43) - 4096, random_pattern(4096, 1));
  source.known = {{0, (1ULL << 43) - 4096, true}, {(1ULL << 43) - 4096, 4096, false}};
  Repository repository;
  BackupCounters counters;
  const Volume volume = repository.backup(source, counters);
  ScratchDirectory scratch;
  CopyCounters copied;
  const auto begun = std::chrono::steady_clock::now();
  repository.restore(volume, scratch / "disk", copied);
  CHECK(std::chrono::steady_clock::now() - begun < std::chrono::seconds(2));
  CHECK(file_size(scratch / "disk") == 1ULL << 43);
  CHECK(allocated_bytes(scratch / "disk") <= kMiB);
}

}  // namespace
}  // namespace vzv::test
