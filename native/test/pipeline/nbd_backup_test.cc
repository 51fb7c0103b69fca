// Backups from real NBD servers, whole and failing.
#include <signal.h>

#include <thread>

#include "test/pipeline/repository.h"
#include "test/support/nbd_server.h"

namespace vzv::test {
namespace {

// Backs up an export that is expected to fail; the error.
Status failing_backup(Repository& repository, const NbdServer& server, int stall_timeout_ms, BackupCounters& counters,
                      CancelToken& cancel) {
  SourceOptions source_options;
  source_options.stall_timeout_ms = stall_timeout_ms;
  auto source = open_source(NbdSocketAddress{server.socket(), "drive-scsi0"}, source_options, cancel);
  if (!source.ok()) return source.status();
  auto writer = repository.writer();
  VolumeBackupOptions options;
  options.chunk_size_bytes = kChunk;
  options.stall_timeout_ms = stall_timeout_ms;
  return backup_volume(**source, *writer, options, counters, cancel).status();
}

TEST_CASE("qemu-nbd: a sparse image goes in and comes back, and its holes are not read") {
  ScratchDirectory scratch;
  const std::string disk = scratch / "disk.raw";
  write_sparse(disk, kGiB, {{0, random_pattern(4 * kMiB, 1)}, {700 * kMiB + 4'096, random_pattern(9 * kMiB, 2)}});
  NbdServer server(qemu_nbd(disk));
  Repository repository;
  BackupCounters counters;
  const Volume volume = repository.backup(NbdSocketAddress{server.socket(), ""}, counters);
  check_complete(counters);
  CHECK(counters.read_bytes == 13 * kMiB);
  ScratchDirectory target;
  CopyCounters copied;
  repository.restore(volume, target / "disk.raw", copied);
  run({"qemu-img", "compare", "-q", "-f", "raw", "-F", "raw", disk, target / "disk.raw"});
}

TEST_CASE("qemu-storage-daemon: a qcow2 of odd size, by URI") {
  ScratchDirectory scratch;
  write_sparse(scratch / "disk.raw", 100 * kMiB + 512,
               {{5 * kMiB, random_pattern(8 * kMiB, 3)}, {100 * kMiB, random_pattern(512, 4)}});
  run({"qemu-img", "convert", "-f", "raw", "-O", "qcow2", "-c", scratch / "disk.raw", scratch / "disk.qcow2"});
  NbdServer server({"qemu-storage-daemon", "--blockdev",
                    "qcow2,node-name=a,read-only=on,file.driver=file,file.filename=" + (scratch / "disk.qcow2"),
                    "--nbd-server", "addr.type=unix,addr.path=SOCKET,max-connections=8", "--export",
                    "nbd,id=a,node-name=a,name=drive-scsi0"});
  Repository repository;
  BackupCounters counters;
  const Volume volume = repository.backup(NbdUriAddress{server.uri("drive-scsi0")}, counters);
  check_complete(counters);
  CHECK((repository.restored(volume) == read_file(scratch / "disk.raw")));
}

TEST_CASE("nbdkit sparse-random: what it says it is, and the same again") {
  NbdServer server(nbdkit({"sparse-random", "256M", "seed=17", "percent=10", "runlength=1048576"}));
  Repository repository;
  BackupCounters counters;
  const Volume volume = repository.backup(NbdSocketAddress{server.socket(), ""}, counters);
  check_complete(counters);
  CHECK(counters.read_bytes < 128 * kMiB);
  NbdServer restored(nbdkit({"--readonly", "file", [&] {
                               CopyCounters copied;
                               const std::string path = repository.path() + ".raw";
                               repository.restore(volume, path, copied);
                               return path;
                             }()}));
  run({"qemu-img", "compare", "-q", server.uri(), restored.uri()});
  BackupCounters again;
  CHECK(repository.backup(NbdSocketAddress{server.socket(), ""}, again).root == volume.root);
  CHECK(again.new_bytes == 0);
}

TEST_CASE("a server with small blocks and without structured replies") {
  NbdServer server(nbdkit({"--no-sr", "--filter=blocksize-policy", "pattern", "33M", "blocksize-minimum=4096",
                           "blocksize-preferred=4096", "blocksize-maximum=128K", "blocksize-error-policy=error"}));
  Repository repository;
  BackupCounters counters;
  const Volume volume = repository.backup(NbdSocketAddress{server.socket(), ""}, counters, 4096 * kKiB);
  const Bytes bytes = repository.restored(volume);
  for (std::uint64_t at = 0; at < bytes.size(); at += 8) {
    std::uint64_t value = 0;
    for (int i = 0; i < 8; ++i) value = value << 8 | bytes[at + i];
    if (value != at) FAIL("differs at " << at);
  }
}

TEST_CASE("read errors that come now and then fail the backup, naming export and offset") {
  NbdServer server(nbdkit({"--filter=error", "pattern", "256M", "error-pread=EIO", "error-pread-rate=2%"}));
  Repository repository;
  BackupCounters counters;
  CancelToken cancel;
  const Status status = failing_backup(repository, server, 10'000, counters, cancel);
  CHECK(status.code() == Code::E_SOURCE_READ);
  INFO(status.message());
  CHECK(status.message().starts_with("reading NBD export 'drive-scsi0' at " + server.socket() + " at offset "));
  CHECK(status.message().ends_with(": Input/output error"));
}

TEST_CASE("a server that dies in the middle fails the backup at once") {
  NbdServer server(nbdkit({"--filter=rate", "pattern", "1G", "rate=400M"}));
  Repository repository;
  BackupCounters counters;
  CancelToken cancel;
  std::thread killer([&] {
    while (counters.read_bytes < 8 * kMiB) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    server.process().signal(SIGKILL);
  });
  const auto begun = std::chrono::steady_clock::now();
  const Status status = failing_backup(repository, server, 60'000, counters, cancel);
  killer.join();
  CHECK(std::chrono::steady_clock::now() - begun < std::chrono::seconds(10));
  CHECK(status.code() == Code::E_SOURCE_READ);
  INFO(status.message());
  CHECK(status.message().find("the NBD server closed the connection") != std::string::npos);
}

TEST_CASE("a server that stops in the middle is stalled; cancelling it is quicker") {
  for (bool cancelled : {false, true}) {
    NbdServer server(nbdkit({"--filter=rate", "pattern", "1G", "rate=400M"}));
    Repository repository;
    BackupCounters counters;
    CancelToken cancel;
    std::thread stopper([&] {
      while (counters.read_bytes < 8 * kMiB) std::this_thread::sleep_for(std::chrono::milliseconds(5));
      server.process().signal(SIGSTOP);
      if (!cancelled) return;
      std::this_thread::sleep_for(std::chrono::milliseconds(200));
      cancel.cancel();
    });
    const auto begun = std::chrono::steady_clock::now();
    const Status status = failing_backup(repository, server, cancelled ? 60'000 : 500, counters, cancel);
    stopper.join();
    CHECK(status.code() == (cancelled ? Code::E_CANCELLED : Code::E_SOURCE_STALLED));
    CHECK(std::chrono::steady_clock::now() - begun < std::chrono::seconds(10));
  }
}

TEST_CASE("a server that answers each read only after long is stalled") {
  NbdServer server(nbdkit({"--filter=delay", "pattern", "64M", "rdelay=20"}));
  Repository repository;
  BackupCounters counters;
  CancelToken cancel;
  CHECK(failing_backup(repository, server, 400, counters, cancel).code() == Code::E_SOURCE_STALLED);
}

}  // namespace
}  // namespace vzv::test
