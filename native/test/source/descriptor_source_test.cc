// Disks that come as an open file: any alignment, O_DIRECT, and giving their ranges back.
#include <fcntl.h>

#include "core/base/limits.h"
#include "test/source/source_helpers.h"

namespace vzv::test {
namespace {

DescriptorAddress opened(const std::string& path, int flags) {
  auto fd = std::make_shared<const UniqueFd>(::open(path.c_str(), flags | O_CLOEXEC));
  REQUIRE(fd->valid());
  return {fd, "drive-scsi0"};
}

TEST_CASE("a descriptor is read as the file is, and stays open however it was closed elsewhere") {
  ScratchDirectory scratch;
  write_sparse(scratch / "disk", 20 * kMiB + 3, {{kMiB, random_pattern(2 * kMiB, 1)}});
  CancelToken cancel;
  auto source = open(opened(scratch / "disk", O_RDONLY), cancel);
  CHECK(source->name() == "drive-scsi0");
  CHECK(source->size_bytes() == 20 * kMiB + 3);
  CHECK((read_all(*source).value() == read_file(scratch / "disk")));
  const auto extents = all_extents(*source);
  CHECK(extents.front() == Extent{0, kMiB, true});
  // That no data follows is not believed.
  CHECK(extents.back() == Extent{kMiB, 19 * kMiB + 3, false});
}

TEST_CASE("what is neither a file nor a device is refused") {
  ScratchDirectory scratch;
  CancelToken cancel;
  const auto refused = open_source(opened(scratch.path(), O_RDONLY | O_DIRECTORY), SourceOptions{}, cancel);
  CHECK(refused.status().code() == Code::E_SOURCE_UNREACHABLE);
  CHECK(refused.status().message() == "opening drive-scsi0: it is neither a regular file nor a block device");
}

TEST_CASE("opened with O_DIRECT: whole blocks, the odd end, and any piece in any buffer") {
  ScratchDirectory scratch;
  const std::uint64_t size = 5 * kMiB + 1'234;
  const std::string disk = scratch / "disk";
  write_file(disk, random_pattern(size, 7));
  const Bytes bytes = read_file(disk);
  CancelToken cancel;
  auto source = open(opened(disk, O_RDONLY | O_DIRECT), cancel);
  CHECK((read_all(*source).value() == bytes));
  for (const std::uint64_t piece : {4096, 12'288, 65'536, 1'000, 4'097}) {
    CAPTURE(piece);
    CHECK((read_all(*source, piece).value() == bytes));
  }
  for (const std::uint64_t offset : std::initializer_list<std::uint64_t>{0, 1, 4095, 4096, 5 * kMiB, size - 1}) {
    CAPTURE(offset);
    const Bytes expected(bytes.begin() + static_cast<std::ptrdiff_t>(offset), bytes.end());
    CHECK((read_range(*source, offset, size - offset).value() == expected));
  }
}

TEST_CASE("opened with O_DIRECT, holes are told in whole blocks") {
  ScratchDirectory scratch;
  write_sparse(scratch / "disk", 8 * kMiB + 5, {{kMiB, random_pattern(4096, 1)}, {4 * kMiB, random_pattern(100, 2)}});
  CancelToken cancel;
  auto source = open(opened(scratch / "disk", O_RDONLY | O_DIRECT), cancel);
  std::uint64_t zero = 0;
  for (const Extent& extent : all_extents(*source)) {
    if (!extent.zero) continue;
    CHECK(extent.offset % 4096 == 0);
    CHECK(extent.end() % 4096 == 0);
    zero += extent.length;
  }
  CHECK(zero >= 3 * kMiB);
}

TEST_CASE("a file that became shorter is a read error, with O_DIRECT too") {
  ScratchDirectory scratch;
  for (const int flags : {O_RDONLY, O_RDONLY | O_DIRECT}) {
    write_file(scratch / "disk", random_pattern(2 * kMiB, 1));
    CancelToken cancel;
    auto source = open(opened(scratch / "disk", flags), cancel);
    write_file(scratch / "disk", random_pattern(kMiB + 10, 1));
    const Status status = read_range(*source, kMiB, 65'536).status();
    CHECK(status.code() == Code::E_SOURCE_READ);
    CHECK(status.message() == "reading drive-scsi0 at offset 1048576: the file ends there");
  }
}

TEST_CASE("a block device by its descriptor, with O_DIRECT") {
  ScratchDirectory scratch;
  write_file(scratch / "image", random_pattern(8 * kMiB, 3));
  LoopDevice loop(scratch / "image");
  CancelToken cancel;
  auto source = open(opened(loop.path(), O_RDONLY | O_DIRECT), cancel);
  CHECK(source->size_bytes() == 8 * kMiB);
  CHECK((read_all(*source).value() == read_file(scratch / "image")));
}

Status discard(BlockSource& source, std::uint64_t offset, std::uint64_t length) {
  std::optional<Status> answer;
  VZV_TRY(source.submit_discard(offset, length, [&](Status status) { answer = std::move(status); }));
  while (!answer) {
    Result<bool> polled = source.poll(5'000);
    REQUIRE(polled.ok());
    REQUIRE(*polled);
  }
  return *answer;
}

TEST_CASE("ranges of a descriptor that can be written are given back; of any other file they are not") {
  ScratchDirectory scratch;
  const std::string disk = scratch / "disk";
  write_file(disk, random_pattern(16 * kMiB, 1));
  const std::uint64_t full = allocated_bytes(disk);
  CancelToken cancel;
  auto writable = open(opened(disk, O_RDWR), cancel);
  CHECK(discard(*writable, 4 * kMiB, 8 * kMiB).ok());
  CHECK(allocated_bytes(disk) <= full - 8 * kMiB);
  CHECK((read_range(*writable, 4 * kMiB, 8 * kMiB).value() == Bytes(8 * kMiB)));
  CHECK(read_file(disk).size() == 16 * kMiB);

  auto read_only = open(opened(disk, O_RDONLY), cancel);
  const Status refused = discard(*read_only, 0, 4 * kMiB);
  CHECK_FALSE(refused.ok());
  CHECK(refused.message().starts_with("drive-scsi0: "));
  CHECK(read_range(*read_only, 0, kMiB).ok());  // it goes on

  auto by_path = open(FileAddress{disk}, cancel);
  CHECK(discard(*by_path, 0, 4 * kMiB).code() == Code::E_UNSUPPORTED);
  CHECK((read_range(*by_path, 0, 4 * kMiB).value() == random_pattern(16 * kMiB, 1)) == false);
  CHECK(allocated_bytes(disk) > 7 * kMiB);
}

TEST_CASE("an NBD server's ranges are given back where it takes that") {
  ScratchDirectory scratch;
  const std::string disk = scratch / "disk";
  write_file(disk, random_pattern(16 * kMiB, 1));
  {
    NbdServer server({"qemu-nbd", "--persistent", "--socket=SOCKET", "--format=raw", "--discard=unmap", disk});
    CancelToken cancel;
    auto source = open(at(server), cancel);
    CHECK(discard(*source, 4 * kMiB, 4 * kMiB).ok());
    CHECK(discard(*source, 0, 16 * kMiB).ok());
    CHECK((read_all(*source).value() == Bytes(16 * kMiB)));
  }
  CHECK(allocated_bytes(disk) < kMiB);
  NbdServer read_only(qemu_nbd(disk));
  CancelToken cancel;
  auto source = open(at(read_only), cancel);
  CHECK(discard(*source, 0, 4 * kMiB).code() == Code::E_UNSUPPORTED);
  CHECK(read_range(*source, 0, kMiB).ok());
}

TEST_CASE("a discard that a server fails is a refusal, and reading goes on") {
  NbdServer server(nbdkit({"--filter=error", "memory", "16M", "error-trim=EIO", "error-trim-rate=100%"}));
  CancelToken cancel;
  auto source = open(at(server), cancel);
  const Status refused = discard(*source, 0, 4 * kMiB);
  CHECK(refused.message().starts_with("discarding NBD export '' at "));
  CHECK((read_all(*source).value() == Bytes(16 * kMiB)));
}

}  // namespace
}  // namespace vzv::test
