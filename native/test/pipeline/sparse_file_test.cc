// Space given back, reserved and shared, on real files, a loop device and a file system that can clone.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include "core/base/file.h"
#include "core/base/sparse_file.h"
#include "test/support/child_process.h"
#include "test/support/scratch.h"

namespace vzv::test {
namespace {

constexpr std::uint64_t kKiB = 1024;
constexpr std::uint64_t kMiB = 1024 * kKiB;

UniqueFd open_file(const std::string& path, int flags = O_RDWR | O_CREAT) {
  UniqueFd fd(::open(path.c_str(), flags | O_CLOEXEC, 0600));
  REQUIRE(fd.valid());
  return fd;
}

// A file system that shares blocks between files.
struct CloningFileSystem {
  ScratchDirectory scratch;
  std::string mounted = scratch / "xfs";
  struct Formatted {
    explicit Formatted(const std::string& image) {
      write_sparse(image, 512 * kMiB, {});
      run({"mkfs.xfs", "-q", "-m", "reflink=1", image});
    }
  } formatted{scratch / "image"};
  LoopDevice loop{scratch / "image"};
  Mount mount{{"-t", "xfs", loop.path()}, mounted};
};

TEST_CASE("deallocating a range gives its space back, leaves zeroes and keeps the size") {
  ScratchDirectory scratch;
  Bytes bytes = random_pattern(8 * kMiB, 1);
  write_file(scratch / "file", bytes);
  const UniqueFd fd = open_file(scratch / "file");
  CHECK(deallocate(fd.get(), kMiB + 100, 4 * kMiB).ok());
  CHECK(deallocate(fd.get(), 7 * kMiB, 64 * kMiB).ok());
  std::fill(bytes.begin() + kMiB + 100, bytes.begin() + 5 * kMiB + 100, 0);
  std::fill(bytes.begin() + 7 * kMiB, bytes.end(), 0);
  CHECK((read_file(scratch / "file") == bytes));
  CHECK(allocated_bytes(scratch / "file") < 4 * kMiB);
}

TEST_CASE("deallocating on a block device discards, and refuses what is no whole block") {
  ScratchDirectory scratch;
  write_file(scratch / "image", random_pattern(8 * kMiB, 2));
  LoopDevice loop(scratch / "image");
  const UniqueFd fd = open_file(loop.path(), O_RDWR);
  CHECK(deallocate(fd.get(), 4 * kMiB, 4 * kMiB).ok());
  CHECK(allocated_bytes(scratch / "image") <= 4 * kMiB + 64 * kKiB);
  CHECK_FALSE(deallocate(fd.get(), 100, 100).ok());
}

TEST_CASE("deallocating where there is no such call is unsupported, not a failure of the storage") {
  const UniqueFd null = open_file("/dev/null", O_RDWR);
  const Status status = deallocate(null.get(), 0, 4'096);
  CHECK_FALSE(status.ok());
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const UniqueFd in(ends[0]), out(ends[1]);
  CHECK_FALSE(deallocate(out.get(), 0, 4'096).ok());
  // procfs has files without any fallocate.
  const UniqueFd proc = open_file("/proc/self/comm", O_RDWR);
  CHECK(deallocate(proc.get(), 0, 4'096).code() == Code::E_UNSUPPORTED);
}

TEST_CASE("allocating reserves space and grows the file; a full file system says so") {
  ScratchDirectory scratch;
  const UniqueFd fd = open_file(scratch / "file");
  CHECK(allocate(fd.get(), kMiB, 3 * kMiB).ok());
  CHECK(file_size(scratch / "file") == 4 * kMiB);
  CHECK(allocated_bytes(scratch / "file") >= 3 * kMiB);
  Mount mount({"-t", "tmpfs", "-o", "size=1m", "tmpfs"}, scratch / "small");
  const UniqueFd small = open_file(scratch / "small/file");
  CHECK(allocate(small.get(), 0, 4 * kMiB).code() == Code::E_NO_SPACE);
}

TEST_CASE("a range is copied at its offsets, by the kernel where it can") {
  ScratchDirectory scratch;
  const Bytes bytes = random_pattern(3 * kMiB, 3);
  write_file(scratch / "from", bytes);
  const UniqueFd from = open_file(scratch / "from", O_RDONLY), to = open_file(scratch / "to");
  auto copied = copy_range(from.get(), 1'000, to.get(), 77, 2 * kMiB);
  REQUIRE(copied.ok());
  CHECK(copied->bytes == 2 * kMiB);
  CHECK(copied->method == CopyMethod::kCopyRange);
  const Bytes got = read_file(scratch / "to");
  CHECK(got.size() == 2 * kMiB + 77);
  CHECK(std::equal(got.begin() + 77, got.end(), bytes.begin() + 1'000));
}

TEST_CASE("a copy ends where the source ends") {
  ScratchDirectory scratch;
  write_file(scratch / "from", random_pattern(10'000, 4));
  const UniqueFd from = open_file(scratch / "from", O_RDONLY), to = open_file(scratch / "to");
  auto copied = copy_range(from.get(), 4'000, to.get(), 0, kMiB);
  REQUIRE(copied.ok());
  CHECK(copied->bytes == 6'000);
  auto beyond = copy_range(from.get(), 50'000, to.get(), 0, kMiB);
  REQUIRE(beyond.ok());
  CHECK(beyond->bytes == 0);
}

TEST_CASE("what the kernel does not copy goes through memory: other file systems, devices, procfs") {
  ScratchDirectory scratch;
  const Bytes bytes = random_pattern(3 * kMiB, 5);
  write_file(scratch / "from", bytes);
  Mount mount({"-t", "tmpfs", "-o", "size=8m", "tmpfs"}, scratch / "other");
  const UniqueFd from = open_file(scratch / "from", O_RDONLY), other = open_file(scratch / "other/to");
  auto copied = copy_range(from.get(), 0, other.get(), 0, 3 * kMiB);
  REQUIRE(copied.ok());
  CHECK(copied->bytes == 3 * kMiB);
  CHECK((read_file(scratch / "other/to") == bytes));

  write_sparse(scratch / "image", 4 * kMiB, {});
  LoopDevice loop(scratch / "image");
  const UniqueFd device = open_file(loop.path(), O_RDWR);
  auto to_device = copy_range(from.get(), 0, device.get(), kMiB, 3 * kMiB);
  REQUIRE(to_device.ok());
  CHECK(to_device->method == CopyMethod::kReadWrite);
  const Bytes got = read_file(loop.path());
  CHECK(std::equal(bytes.begin(), bytes.end(), got.begin() + kMiB));

  const UniqueFd version = open_file("/proc/version", O_RDONLY), text = open_file(scratch / "version");
  auto from_proc = copy_range(version.get(), 0, text.get(), 0, kMiB);
  REQUIRE(from_proc.ok());
  CHECK(from_proc->bytes > 0);
  CHECK(from_proc->method == CopyMethod::kReadWrite);
}

TEST_CASE("a copy to a full file system says so") {
  ScratchDirectory scratch;
  write_file(scratch / "from", random_pattern(3 * kMiB, 6));
  Mount mount({"-t", "tmpfs", "-o", "size=1m", "tmpfs"}, scratch / "small");
  CHECK(copy_file(scratch / "from", scratch / "small/to").status().code() == Code::E_NO_SPACE);
  CHECK(::access((scratch / "small/to").c_str(), F_OK) != 0);
}

TEST_CASE("where files cannot be cloned, cloning says no and copying keeps the holes") {
  ScratchDirectory scratch;
  Mount mount({"-t", "tmpfs", "-o", "size=64m", "tmpfs"}, scratch / "tmp");
  const std::string from = scratch / "tmp/from", to = scratch / "tmp/to";
  write_sparse(from, 100 * kMiB, {{0, random_pattern(kMiB, 7)}, {50 * kMiB, random_pattern(2 * kMiB, 8)}});
  REQUIRE(::chmod(from.c_str(), 0640) == 0);
  {
    const UniqueFd a = open_file(from, O_RDONLY), b = open_file(scratch / "tmp/clone");
    auto cloned = clone(a.get(), b.get());
    REQUIRE(cloned.ok());
    CHECK_FALSE(*cloned);
  }
  auto copied = copy_file(from, to);
  REQUIRE(copied.ok());
  CHECK(copied->bytes == 3 * kMiB);
  CHECK(copied->method != CopyMethod::kClone);
  CHECK((read_file(to) == read_file(from)));
  CHECK(allocated_bytes(to) == allocated_bytes(from));
  CHECK(copy_file(from, to).status().code() == Code::E_NAME_TAKEN);
  CHECK(copy_file(scratch / "absent", scratch / "tmp/x").status().code() != Code::kOk);
  CHECK(copy_file(scratch.path(), scratch / "tmp/x").status().code() == Code::E_UNSUPPORTED);
}

TEST_CASE("where files can be cloned, they share their blocks") {
  CloningFileSystem fs;
  const std::string from = fs.mounted + "/from", to = fs.mounted + "/to", third = fs.mounted + "/third";
  const Bytes bytes = random_pattern(64 * kMiB, 9);
  write_file(from, bytes);
  run({"sync", "--file-system", fs.mounted});
  const std::uint64_t before = allocated_bytes(fs.scratch / "image");
  auto copied = copy_file(from, to);
  REQUIRE(copied.ok());
  CHECK(copied->method == CopyMethod::kClone);
  CHECK(copied->bytes == 64 * kMiB);
  const UniqueFd a = open_file(from, O_RDONLY), b = open_file(third);
  auto cloned = clone(a.get(), b.get());
  REQUIRE(cloned.ok());
  CHECK(*cloned);
  run({"sync", "--file-system", fs.mounted});
  CHECK(allocated_bytes(fs.scratch / "image") < before + 8 * kMiB);
  CHECK((read_file(to) == bytes));
  CHECK((read_file(third) == bytes));
  // A clone is a copy: writing to one leaves the others alone.
  const UniqueFd write = open_file(to);
  CHECK(::pwrite(write.get(), "changed", 7, kMiB) == 7);
  CHECK((read_file(from) == bytes));
}

}  // namespace
}  // namespace vzv::test
