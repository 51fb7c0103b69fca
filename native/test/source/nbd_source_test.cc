// Real NBD servers of every temper as sources.
#include "test/source/source_helpers.h"

namespace vzv::test {
namespace {

// A sparse disk with data in a few places.
struct Disk {
  ScratchDirectory scratch;
  std::string raw = scratch / "disk.raw";

  explicit Disk(std::uint64_t size_bytes = 32 * kMiB) {
    write_sparse(raw, size_bytes,
                 {{0, random_pattern(64 * kKiB, 1)},
                  {5 * kMiB, random_pattern(3 * kMiB, 2)},
                  {20 * kMiB, random_pattern(kMiB, 3)}});
  }
};

void check_same(BlockSource& source, const Bytes& expected) {
  REQUIRE(source.size_bytes() == expected.size());
  auto read = read_all(source);
  INFO(read.status().message());
  REQUIRE(read.ok());
  CHECK((*read == expected));
}

TEST_CASE("qemu-nbd: bytes, size and holes are those of the image") {
  Disk disk;
  NbdServer server(qemu_nbd(disk.raw, "raw", "drive-scsi0"));
  CancelToken cancel;
  auto source = open(at(server, "drive-scsi0"), cancel);
  CHECK(source->name() == "NBD export 'drive-scsi0' at " + server.socket());
  check_same(*source, read_file(disk.raw));
  CHECK(all_extents(*source) == std::vector<Extent>{{0, 64 * kKiB, false},
                                                    {64 * kKiB, 5 * kMiB - 64 * kKiB, true},
                                                    {5 * kMiB, 3 * kMiB, false},
                                                    {8 * kMiB, 12 * kMiB, true},
                                                    {20 * kMiB, kMiB, false},
                                                    {21 * kMiB, 11 * kMiB, true}});
}

TEST_CASE("a URI reaches the same export, one of another scheme is refused") {
  Disk disk;
  NbdServer server(qemu_nbd(disk.raw, "raw", "drive-scsi0"));
  CancelToken cancel;
  auto source = open(NbdUriAddress{server.uri("drive-scsi0")}, cancel);
  check_same(*source, read_file(disk.raw));
  for (const char* uri :
       {"nbds+unix:///x?socket=/s", "nbds://localhost/x", "nbd+vsock://1/x", "nbd+ssh://h/x", "http://h/x", ""}) {
    CHECK(open_source(NbdUriAddress{uri}, with_timeout(1'000), cancel).status().code() == Code::E_ARGUMENT_INVALID);
  }
  CHECK(open_source(NbdUriAddress{"nbd+unix:///x"}, with_timeout(1'000), cancel).status().code() ==
        Code::E_SOURCE_UNREACHABLE);
}

TEST_CASE("qemu-storage-daemon: qcow2, several exports, the one that was named") {
  Disk disk;
  const std::string qcow2 = disk.scratch / "disk.qcow2";
  run({"qemu-img", "convert", "-f", "raw", "-O", "qcow2", disk.raw, qcow2});
  write_sparse(disk.scratch / "efi.raw", 540'672, {{4'096, random_pattern(100'000, 9)}});
  NbdServer server({"qemu-storage-daemon", "--blockdev",
                    "qcow2,node-name=a,read-only=on,file.driver=file,file.filename=" + qcow2, "--blockdev",
                    "raw,node-name=b,read-only=on,file.driver=file,file.filename=" + (disk.scratch / "efi.raw"),
                    "--nbd-server", "addr.type=unix,addr.path=SOCKET,max-connections=8", "--export",
                    "nbd,id=a,node-name=a,name=drive-virtio0", "--export", "nbd,id=b,node-name=b,name=drive-efidisk0"});
  CancelToken cancel;
  auto disk_source = open(at(server, "drive-virtio0"), cancel);
  check_same(*disk_source, read_file(disk.raw));
  CHECK(all_extents(*disk_source).size() >= 6);
  check_same(*open(at(server, "drive-efidisk0"), cancel), read_file(disk.scratch / "efi.raw"));
  auto absent = open_source(at(server, "drive-scsi9"), with_timeout(5'000), cancel);
  CHECK(absent.status().code() == Code::E_SOURCE_UNREACHABLE);
  INFO(absent.status().message());
  CHECK(absent.status().message().find("drive-scsi9") != std::string::npos);
}

TEST_CASE("a server without structured replies is read whole") {
  Disk disk;
  NbdServer server(nbdkit({"--no-sr", "file", disk.raw}));
  CancelToken cancel;
  auto source = open(at(server), cancel);
  CHECK(all_extents(*source) == std::vector<Extent>{{0, 32 * kMiB, false}});
  check_same(*source, read_file(disk.raw));
}

TEST_CASE("a hole that is not promised to be zero is data") {
  NbdServer server(nbdkit({"eval", "get_size=echo 4M", "pread=head -c $3 /dev/zero | tr '\\0' x", "can_extents=exit 0",
                           "extents=echo 0 1M hole; echo 1M 1M zero; echo 2M 1M hole,zero; echo 3M 1M"}));
  CancelToken cancel;
  auto source = open(at(server), cancel);
  CHECK(all_extents(*source) == std::vector<Extent>{{0, kMiB, false}, {kMiB, 2 * kMiB, true}, {3 * kMiB, kMiB, false}});
}

TEST_CASE("a server that cannot tell its extents is read whole") {
  Disk disk;
  NbdServer server(nbdkit({"--filter=error", "file", disk.raw, "error-extents=EIO", "error-extents-rate=100%"}));
  CancelToken cancel;
  auto source = open(at(server), cancel);
  CHECK(all_extents(*source) == std::vector<Extent>{{0, 32 * kMiB, false}});
  check_same(*source, read_file(disk.raw));
}

TEST_CASE("a server that takes only small reads gets small reads") {
  Disk disk;
  NbdServer server(nbdkit({"--filter=blocksize-policy", "file", disk.raw, "blocksize-minimum=4096",
                           "blocksize-preferred=4096", "blocksize-maximum=65536", "blocksize-error-policy=error"}));
  CancelToken cancel;
  check_same(*open(at(server), cancel), read_file(disk.raw));
}

TEST_CASE("a disk whose end is no whole block is read to its end, or refused in words") {
  ScratchDirectory scratch;
  const Bytes bytes = random_pattern(kMiB + 1'000, 7);
  write_file(scratch / "disk", bytes);
  NbdServer server(nbdkit({"file", scratch / "disk"}));
  CancelToken cancel;
  check_same(*open(at(server), cancel), bytes);
}

TEST_CASE("16 TiB of nothing are known to be nothing in a moment") {
  NbdServer server(nbdkit({"null", "16T"}));
  CancelToken cancel;
  auto source = open(at(server), cancel);
  Stopwatch watch;
  CHECK(all_extents(*source) == std::vector<Extent>{{0, 1ULL << 44, true}});
  CHECK(watch.ms() < 5'000);
}

TEST_CASE("an export of no bytes is a source") {
  NbdServer server(nbdkit({"null", "0"}));
  CancelToken cancel;
  CHECK(open(at(server), cancel)->size_bytes() == 0);
}

TEST_CASE("a server that announced another size is refused") {
  NbdServer server(nbdkit({"--filter=truncate", "memory", "8M", "truncate=9M"}));
  CancelToken cancel;
  SourceOptions options;
  options.expected_size_bytes = 8 * kMiB;
  auto opened = open_source(at(server), options, cancel);
  CHECK(opened.status().code() == Code::E_SOURCE_SIZE);
  CHECK(opened.status().message() ==
        "NBD export '' at " + server.socket() + " has 9437184 bytes where 8388608 were announced");
}

}  // namespace
}  // namespace vzv::test
