// Sources that fail, hang, die or are given up.
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstring>
#include <thread>

#include "core/base/file.h"
#include "test/source/source_helpers.h"

namespace vzv::test {
namespace {

// Cancels after a while, from another thread.
class CancelLater {
 public:
  CancelLater(CancelToken& cancel, int after_ms)
      : thread_([&cancel, after_ms] {
          std::this_thread::sleep_for(std::chrono::milliseconds(after_ms));
          cancel.cancel();
        }) {}
  ~CancelLater() { thread_.join(); }

 private:
  std::thread thread_;
};

UniqueFd listen_on(const std::string& path) {
  UniqueFd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
  REQUIRE(::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  REQUIRE(::listen(listener.get(), 4) == 0);
  return listener;
}

TEST_CASE("nobody listens: unreachable, naming export and socket") {
  ScratchDirectory scratch;
  CancelToken cancel;
  auto opened = open_source(NbdSocketAddress{scratch / "no.sock", "drive-scsi0"}, with_timeout(5'000), cancel);
  CHECK(opened.status().code() == Code::E_SOURCE_UNREACHABLE);
  CHECK(opened.status().message() ==
        "connecting to NBD export 'drive-scsi0' at " + (scratch / "no.sock") + ": connect: No such file or directory");
}

TEST_CASE("a server that accepts and says nothing is stalled, or cancelled at once") {
  ScratchDirectory scratch;
  const std::string path = scratch / "mute.sock";
  const UniqueFd listener = listen_on(path);
  CancelToken cancel;
  Stopwatch watch;
  auto opened = open_source(NbdSocketAddress{path, "x"}, with_timeout(300), cancel);
  CHECK(opened.status().code() == Code::E_SOURCE_STALLED);
  CHECK(opened.status().message() == "connecting to NBD export 'x' at " + path + ": no answer for 300 ms");
  CHECK(watch.ms() >= 300);
  CHECK(watch.ms() < 2'000);

  CancelLater later(cancel, 100);
  opened = open_source(NbdSocketAddress{path, "x"}, with_timeout(60'000), cancel);
  CHECK(opened.status().code() == Code::E_CANCELLED);
  CHECK(watch.ms() < 4'000);
}

TEST_CASE("a server that speaks another protocol is unreachable") {
  ScratchDirectory scratch;
  const std::string path = scratch / "http.sock";
  const UniqueFd listener = listen_on(path);
  std::thread speaker([&] {
    const UniqueFd peer(::accept(listener.get(), nullptr, nullptr));
    const char text[] = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";
    CHECK(write_all(peer.get(), {reinterpret_cast<const std::uint8_t*>(text), sizeof text}) == 0);
  });
  CancelToken cancel;
  auto opened = open_source(NbdSocketAddress{path, "x"}, with_timeout(5'000), cancel);
  speaker.join();
  CHECK(opened.status().code() == Code::E_SOURCE_UNREACHABLE);
  CHECK(opened.status().message().find('\n') == std::string::npos);
}

TEST_CASE("a read error names the export and the offset") {
  NbdServer server(nbdkit({"--filter=error", "pattern", "8M", "error-pread=EIO", "error-pread-rate=100%"}));
  CancelToken cancel;
  auto source = open(at(server, "drive-scsi0"), cancel);
  auto read = read_range(*source, 3 * kMiB, 4'096);
  CHECK(read.status().code() == Code::E_SOURCE_READ);
  CHECK(read.status().message() ==
        "reading NBD export 'drive-scsi0' at " + server.socket() + " at offset 3145728: Input/output error");
}

TEST_CASE("a full fleecing storage, which shows as ENOSPC, is a read error") {
  NbdServer server(nbdkit({"--filter=error", "pattern", "8M", "error-pread=ENOSPC", "error-pread-rate=100%"}));
  CancelToken cancel;
  auto source = open(at(server), cancel);
  CHECK(read_all(*source).status().code() == Code::E_SOURCE_READ);
}

TEST_CASE("a server that is killed under reads is a read error that says so") {
  NbdServer server(nbdkit({"--filter=delay", "pattern", "64M", "rdelay=5"}));
  CancelToken cancel;
  auto source = open(at(server, "drive-scsi0"), cancel);
  std::thread killer([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    server.process().signal(SIGKILL);
  });
  Stopwatch watch;
  auto read = read_range(*source, 0, 16 * kMiB);
  killer.join();
  CHECK(watch.ms() < 3'000);
  CHECK(read.status().code() == Code::E_SOURCE_READ);
  INFO(read.status().message());
  CHECK(read.status().message().find("drive-scsi0") != std::string::npos);
  CHECK(read.status().message().find("the NBD server closed the connection") != std::string::npos);
}

TEST_CASE("a server that is gone when it is asked for extents is an error, not a disk full of data") {
  ScratchDirectory scratch;
  write_sparse(scratch / "disk", 8 * kMiB, {});
  NbdServer server(qemu_nbd(scratch / "disk"));
  CancelToken cancel;
  auto source = open(at(server), cancel);
  server.process().kill();
  auto extents = source->extents(0, 8 * kMiB);
  CHECK(extents.status().code() == Code::E_SOURCE_READ);
  INFO(extents.status().message());
  CHECK(extents.status().message().find("NBD export ''") != std::string::npos);
}

TEST_CASE("a stopped server stalls the question for extents; waiting for reads ends in time") {
  ScratchDirectory scratch;
  write_sparse(scratch / "disk", 8 * kMiB, {{0, random_pattern(kMiB, 1)}});
  NbdServer server(qemu_nbd(scratch / "disk"));
  CancelToken cancel;
  auto source = open(at(server), cancel, with_timeout(300));
  server.process().signal(SIGSTOP);
  Stopwatch watch;
  CHECK(source->extents(0, 8 * kMiB).status().code() == Code::E_SOURCE_STALLED);
  CHECK(watch.ms() < 2'000);
  CHECK(read_range(*source, 0, kMiB, kMiB, 300).status().code() == Code::E_SOURCE_STALLED);
  CHECK(watch.ms() < 4'000);
  source.reset();
  CHECK(watch.ms() < 5'000);
}

TEST_CASE("cancelling ends a wait for a slow server at once") {
  NbdServer server(nbdkit({"--filter=delay", "pattern", "64M", "rdelay=30"}));
  CancelToken cancel;
  auto source = open(at(server), cancel);
  Stopwatch watch;
  {
    CancelLater later(cancel, 200);
    CHECK(read_range(*source, 0, 4 * kMiB, kMiB, 60'000).status().code() == Code::E_CANCELLED);
  }
  source.reset();
  CHECK(watch.ms() < 1'500);
}

TEST_CASE("a source is destroyed with NBD reads in flight, and no completion is called") {
  NbdServer server(nbdkit({"--filter=delay", "pattern", "64M", "rdelay=30"}));
  CancelToken cancel;
  bool called = false;
  {
    auto source = open(at(server), cancel);
    for (std::uint64_t n = 0; n < source->max_in_flight(); ++n) {
      REQUIRE(
          source->submit_read(n * kMiB, kMiB, ReadBuffer(new std::uint8_t[kMiB]), [&](Status) { called = true; }).ok());
    }
    CHECK_FALSE(source->poll(50).value());
  }
  CHECK_FALSE(called);
}

// A file on a FUSE mount whose server can be stopped: what a hung network mount looks like.
class HangingFile {
 public:
  HangingFile() {
    write_sparse(scratch_ / "disk", 64 * kMiB, {{0, random_pattern(64 * kMiB, 1)}});
    write_file(path(), {});
    daemon_ = ChildProcess({"qemu-storage-daemon", "--blockdev",
                            "raw,node-name=a,read-only=on,file.driver=file,file.filename=" + (scratch_ / "disk"),
                            "--export", "fuse,id=a,node-name=a,mountpoint=" + path() + ",allow-other=off"});
    for (int i = 0; i < 1'000 && file_size(path()) == 0; ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    REQUIRE(file_size(path()) == 64 * kMiB);
  }
  ~HangingFile() {
    daemon_.kill();
    try {
      run({"umount", "--lazy", path()});
    } catch (const std::exception&) {
      // Killed, it may have unmounted already.
    }
  }
  std::string path() const { return scratch_ / "mounted"; }
  void hang() { daemon_.signal(SIGSTOP); }

 private:
  ScratchDirectory scratch_;
  ChildProcess daemon_;
};

TEST_CASE("a file on a mount that hangs stalls opening and asking, and nothing waits for its threads for long") {
  HangingFile file;
  CancelToken cancel;
  auto source = open(FileAddress{file.path()}, cancel, with_timeout(300));
  auto read = read_range(*source, 0, kMiB);
  REQUIRE(read.ok());
  file.hang();
  Stopwatch watch;
  CHECK(source->extents(0, kMiB).status().code() == Code::E_SOURCE_STALLED);
  auto opened = open_source(FileAddress{file.path()}, with_timeout(300), cancel);
  CHECK(opened.status().code() == Code::E_SOURCE_STALLED);
  CHECK(read_range(*source, 32 * kMiB, 8 * kMiB, kMiB, 300).status().code() == Code::E_SOURCE_STALLED);
  source.reset();
  CHECK(watch.ms() < 5'000);
}

TEST_CASE("cancelling ends a read of a file on a mount that hangs") {
  HangingFile file;
  CancelToken cancel;
  auto source = open(FileAddress{file.path()}, cancel);
  file.hang();
  Stopwatch watch;
  CancelLater later(cancel, 200);
  CHECK(read_range(*source, 16 * kMiB, 8 * kMiB, kMiB, 60'000).status().code() == Code::E_CANCELLED);
  CHECK(watch.ms() < 1'500);
}

}  // namespace
}  // namespace vzv::test
