// Archives that are backed up into a store, and read again through catalogue and data.
#pragma once

#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <functional>
#include <string>
#include <thread>

#include "core/archive/catalogue.h"
#include "core/pipeline/archive_backup.h"
#include "test/store/store_fixture.h"

namespace vzv::test {

// A pipe into which a thread writes these bytes; it stops when nobody reads any more.
class FedPipe {
 public:
  explicit FedPipe(Bytes bytes) {
    int ends[2];
    REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
    read_end_.reset(ends[0]);
    thread_ = std::thread([fd = ends[1], bytes = std::move(bytes)] {
      // A pipe without a reader is an errno here, not the end of the program.
      sigset_t pipe_signal;
      ::sigemptyset(&pipe_signal);
      ::sigaddset(&pipe_signal, SIGPIPE);
      ::pthread_sigmask(SIG_BLOCK, &pipe_signal, nullptr);
      ByteSpan left(bytes);
      while (!left.empty()) {
        const ssize_t count = ::write(fd, left.data(), left.size());
        if (count <= 0) break;
        left = left.subspan(static_cast<std::size_t>(count));
      }
      ::close(fd);
    });
  }
  ~FedPipe() {
    read_end_.reset();
    thread_.join();
  }
  int fd() const { return read_end_.get(); }

 private:
  UniqueFd read_end_;
  std::thread thread_;
};

struct BackedUp {
  Result<ArchiveMap> archive;
  ArchiveCounters counters;
  std::uint64_t added_bytes = 0;
};

// Backs up and makes durable.
inline void back_up(Store& store, int fd, BackedUp& backed_up, ArchiveBackupOptions options = {}) {
  CancelToken cancel;
  auto writer = store.writer();
  backed_up.archive = backup_archive(fd, *writer, options, backed_up.counters, cancel);
  if (!backed_up.archive.ok()) return;
  must(writer->flush());
  backed_up.added_bytes = writer->added_bytes();
  const ArchiveCounters& counters = backed_up.counters;
  CHECK(counters.zero_bytes + counters.reused_bytes + counters.new_bytes == backed_up.archive->data.size_bytes);
  CHECK(counters.members == backed_up.archive->members);
}
inline ArchiveMap must_back_up(Store& store, const Bytes& tar, BackedUp& backed_up) {
  FedPipe pipe(tar);
  back_up(store, pipe.fd(), backed_up);
  CHECK(backed_up.counters.read_bytes == tar.size());
  return must(backed_up.archive);
}
inline ArchiveMap must_back_up(Store& store, const Bytes& tar) {
  BackedUp backed_up{.archive = ArchiveMap(), .counters = {}, .added_bytes = 0};
  return must_back_up(store, tar, backed_up);
}

// Calls `visit` with every member, and what it stores.
inline void read_archive(Store& store, const ArchiveMap& archive,
                         const std::function<void(const Member& member, const Bytes& stored)>& visit) {
  auto chunks = store.reader(16 << 20);
  StreamReader data(archive.data, ChunkType::kData, *chunks);
  StreamReader stream(archive.catalogue, ChunkType::kCatalogue, *chunks);
  CatalogueReader catalogue(stream);
  CatalogueEntry entry;
  std::uint64_t members = 0;
  std::uint64_t stored_bytes = 0;
  while (must(catalogue.next(entry))) {
    Bytes stored(entry.member.stored_bytes);
    must(data.read(entry.data_offset, stored));
    visit(entry.member, stored);
    stored_bytes += stored.size();
    ++members;
  }
  CHECK(members == archive.members);
  CHECK(stored_bytes == archive.data.size_bytes);
}

// What a program writes to its standard output.
inline Bytes bytes_of_command(const std::string& command) {
  FILE* stream = ::popen(command.c_str(), "re");
  REQUIRE(stream != nullptr);
  Bytes bytes;
  Bytes buffer(1 << 20);
  while (const std::size_t count = std::fread(buffer.data(), 1, buffer.size(), stream)) {
    bytes.insert(bytes.end(), buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(count));
  }
  REQUIRE_MESSAGE(::pclose(stream) == 0, command);
  return bytes;
}

}  // namespace vzv::test
