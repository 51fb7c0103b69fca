// Regular files and block devices as sources.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "test/source/source_helpers.h"

namespace vzv::test {
namespace {

TEST_CASE("a file is read byte for byte, whatever the size of the pieces") {
  ScratchDirectory scratch;
  const Bytes bytes = random_pattern(5 * kMiB + 12'345, 1);
  write_file(scratch / "disk", bytes);
  CancelToken cancel;
  auto source = open(FileAddress{scratch / "disk"}, cancel);
  CHECK(source->size_bytes() == bytes.size());
  CHECK(source->name() == scratch / "disk");
  for (std::uint64_t piece : {kMiB, 3 * kKiB + 1, 8 * kMiB}) {
    auto read = read_all(*source, piece);
    REQUIRE(read.ok());
    CHECK(*read == bytes);
  }
}

TEST_CASE("the holes of a file are known, at both ends and in between") {
  ScratchDirectory scratch;
  write_sparse(scratch / "disk", 64 * kMiB,
               {{4 * kMiB, random_pattern(kMiB, 2)}, {40 * kMiB, random_pattern(64 * kKiB, 3)}});
  CancelToken cancel;
  auto source = open(FileAddress{scratch / "disk"}, cancel);
  CHECK(all_extents(*source) == std::vector<Extent>{{0, 4 * kMiB, true},
                                                    {4 * kMiB, kMiB, false},
                                                    {5 * kMiB, 35 * kMiB, true},
                                                    {40 * kMiB, 64 * kKiB, false},
                                                    {40 * kMiB + 64 * kKiB, 24 * kMiB - 64 * kKiB, true}});
}

TEST_CASE("more extents than one answer holds come in several") {
  ScratchDirectory scratch;
  std::vector<Piece> pieces;
  for (std::uint64_t i = 0; i < 3'000; ++i) pieces.push_back({i * 8 * kKiB, random_pattern(4 * kKiB, i + 1)});
  write_sparse(scratch / "disk", 3'000 * 8 * kKiB, pieces);
  CancelToken cancel;
  auto source = open(FileAddress{scratch / "disk"}, cancel);
  CHECK(all_extents(*source).size() == 6'000);
}

TEST_CASE("a file of no bytes and a file that is one hole are sources") {
  ScratchDirectory scratch;
  write_sparse(scratch / "empty", 0, {});
  write_sparse(scratch / "hole", 1ULL << 43, {});
  CancelToken cancel;
  CHECK(open(FileAddress{scratch / "empty"}, cancel)->size_bytes() == 0);
  auto hole = open(FileAddress{scratch / "hole"}, cancel);
  CHECK(all_extents(*hole) == std::vector<Extent>{{0, 1ULL << 43, true}});
}

TEST_CASE("a block device has its real size, no holes, and its bytes") {
  ScratchDirectory scratch;
  write_sparse(scratch / "disk", 8 * kMiB, {{kMiB, random_pattern(kMiB, 4)}});
  LoopDevice loop(scratch / "disk");
  CancelToken cancel;
  auto source = open(FileAddress{loop.path()}, cancel);
  CHECK(source->size_bytes() == 8 * kMiB);
  CHECK(all_extents(*source) == std::vector<Extent>{{0, 8 * kMiB, false}});
  auto read = read_all(*source);
  REQUIRE(read.ok());
  CHECK(*read == read_file(scratch / "disk"));
}

TEST_CASE("what is no disk is refused in words, without waiting") {
  ScratchDirectory scratch;
  REQUIRE(::mkfifo((scratch / "pipe").c_str(), 0600) == 0);
  CancelToken cancel;
  const auto refused = [&](const std::string& path) {
    auto opened = open_source(FileAddress{path}, with_timeout(5'000), cancel);
    REQUIRE_FALSE(opened.ok());
    CHECK(opened.status().code() == Code::E_SOURCE_UNREACHABLE);
    return opened.status().message();
  };
  CHECK(refused(scratch / "absent") == "opening " + (scratch / "absent") + ": No such file or directory");
  const std::string neither = "it is neither a regular file nor a block device";
  CHECK(refused(scratch / "pipe") == "opening " + (scratch / "pipe") + ": " + neither);
  CHECK(refused(scratch.path()) == "opening " + scratch.path() + ": " + neither);
  CHECK(refused("/dev/null") == "opening /dev/null: " + neither);
}

TEST_CASE("another size than announced is refused with both sizes") {
  ScratchDirectory scratch;
  write_sparse(scratch / "disk", 1'000, {});
  CancelToken cancel;
  SourceOptions options;
  options.expected_size_bytes = 1'001;
  auto opened = open_source(FileAddress{scratch / "disk"}, options, cancel);
  CHECK(opened.status().code() == Code::E_SOURCE_SIZE);
  CHECK(opened.status().message() == (scratch / "disk") + " has 1000 bytes where 1001 were announced");
  options.expected_size_bytes = 1'000;
  CHECK(open_source(FileAddress{scratch / "disk"}, options, cancel).ok());
}

TEST_CASE("a file that shrinks while it is read is an error that names the offset") {
  ScratchDirectory scratch;
  write_file(scratch / "disk", random_pattern(2 * kMiB, 5));
  CancelToken cancel;
  auto source = open(FileAddress{scratch / "disk"}, cancel);
  REQUIRE(::truncate((scratch / "disk").c_str(), kMiB + 10) == 0);
  auto read = read_range(*source, kMiB, 512 * kKiB);
  CHECK(read.status().code() == Code::E_SOURCE_READ);
  CHECK(read.status().message() == "reading " + (scratch / "disk") + " at offset 1048576: the file ends there");
}

TEST_CASE("what a file lost at its end is no hole") {
  ScratchDirectory scratch;
  write_file(scratch / "disk", random_pattern(2 * kMiB, 7));
  CancelToken cancel;
  auto source = open(FileAddress{scratch / "disk"}, cancel);
  REQUIRE(::truncate((scratch / "disk").c_str(), kMiB) == 0);
  for (const Extent& extent : all_extents(*source)) CHECK_FALSE(extent.zero);
  CHECK(read_range(*source, kMiB, kMiB).status().code() == Code::E_SOURCE_READ);
}

TEST_CASE("a source is destroyed with reads in flight, and no completion is called") {
  ScratchDirectory scratch;
  write_file(scratch / "disk", random_pattern(8 * kMiB, 6));
  CancelToken cancel;
  bool called = false;
  for (int i = 0; i < 20; ++i) {
    auto source = open(FileAddress{scratch / "disk"}, cancel);
    for (std::uint64_t n = 0; n < 8; ++n) {
      REQUIRE(
          source->submit_read(n * kMiB, kMiB, ReadBuffer(new std::uint8_t[kMiB]), [&](Status) { called = true; }).ok());
    }
  }
  CHECK_FALSE(called);
}

TEST_CASE("a cancelled token ends opening, asking and waiting") {
  ScratchDirectory scratch;
  write_sparse(scratch / "disk", kMiB, {});
  CancelToken cancel;
  auto source = open(FileAddress{scratch / "disk"}, cancel);
  cancel.cancel();
  CHECK(source->extents(0, kMiB).status().code() == Code::E_CANCELLED);
  CHECK(source->poll(10'000).status().code() == Code::E_CANCELLED);
  CHECK(open_source(FileAddress{scratch / "disk"}, with_timeout(5'000), cancel).status().code() == Code::E_CANCELLED);
}

}  // namespace
}  // namespace vzv::test
