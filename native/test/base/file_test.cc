#include "core/base/file.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

using vzv::Bytes;
using vzv::UniqueFd;

namespace {

UniqueFd memory_file(const Bytes& bytes) {
  UniqueFd fd(::memfd_create("test", MFD_CLOEXEC));
  REQUIRE(fd.valid());
  REQUIRE(vzv::write_all(fd.get(), bytes) == 0);
  return fd;
}

bool is_open(int fd) { return ::fcntl(fd, F_GETFD) >= 0; }

}  // namespace

TEST_CASE("a UniqueFd closes what it owns, once") {
  UniqueFd first = memory_file({1});
  const int number = first.get();
  UniqueFd second(std::move(first));
  CHECK_FALSE(first.valid());
  CHECK(is_open(number));
  second = UniqueFd();
  CHECK_FALSE(is_open(number));
  UniqueFd third = memory_file({1});
  const int released = third.release();
  CHECK(is_open(released));
  ::close(released);
}

TEST_CASE("read_exactly_at fills the buffer or says why not") {
  const UniqueFd fd = memory_file({1, 2, 3, 4});
  Bytes two(2);
  CHECK(vzv::read_exactly_at(fd.get(), 2, two) == 0);
  CHECK(two == Bytes{3, 4});
  CHECK(vzv::read_exactly_at(fd.get(), 3, two) == ENODATA);
  CHECK(vzv::read_exactly_at(-1, 0, two) == EBADF);
  CHECK(vzv::read_up_to_at(fd.get(), 3, two) == 1);
  CHECK(vzv::read_up_to_at(fd.get(), 9, two) == 0);
  CHECK(vzv::read_up_to_at(-1, 0, two) == -EBADF);
}

TEST_CASE("write_all reports a full device") {
  const UniqueFd full = vzv::open_at(AT_FDCWD, "/dev/full", O_WRONLY);
  REQUIRE(full.valid());
  CHECK(vzv::write_all(full.get(), Bytes(10)) == ENOSPC);
}

TEST_CASE("write_all goes on after a pipe took only a part") {
  int ends[2];
  REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
  const UniqueFd read_end(ends[0]), write_end(ends[1]);
  Bytes bytes(300'000);  // more than a pipe holds
  const pid_t child = ::fork();
  if (child == 0) {
    Bytes buffer(1000);
    std::size_t got = 0;
    while (got < 300'000) {
      const ssize_t n = ::read(read_end.get(), buffer.data(), buffer.size());
      if (n <= 0) ::_exit(1);
      got += static_cast<std::size_t>(n);
    }
    ::_exit(0);
  }
  CHECK(vzv::write_all(write_end.get(), bytes) == 0);
  int status = -1;
  (void)::waitpid(child, &status, 0);
  CHECK(status == 0);
}

TEST_CASE("directories can be made durable") {
  const UniqueFd dir = vzv::open_at(AT_FDCWD, "/tmp", O_RDONLY | O_DIRECTORY);
  CHECK(vzv::sync_directory(dir.get()) == 0);
  CHECK(vzv::sync_directory(-1) == EBADF);
}

TEST_CASE("random bytes are not the same twice") {
  Bytes a(32), b(32);
  vzv::random_bytes(a);
  vzv::random_bytes(b);
  CHECK(a != b);
}
