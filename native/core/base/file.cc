#include "core/base/file.h"

#include <fcntl.h>
#include <sys/random.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

namespace vzv {

namespace {

// Repeats a system call that a signal interrupted.
template <typename Call>
auto retry(Call call) {
  auto result = call();
  while (result < 0 && errno == EINTR) result = call();
  return result;
}

}  // namespace

void UniqueFd::reset(int fd) {
  // close(2) is not repeated on EINTR: Linux has released the descriptor then.
  if (fd_ >= 0) ::close(fd_);
  fd_ = fd;
}

UniqueFd open_at(int directory, const char* name, int flags, unsigned mode) {
  return UniqueFd(retry([&] { return ::openat(directory, name, flags | O_CLOEXEC, mode); }));
}

std::int64_t read_up_to_at(int fd, std::uint64_t offset, std::span<std::uint8_t> buffer) {
  std::size_t done = 0;
  while (done < buffer.size()) {
    const ssize_t got = retry(
        [&] { return ::pread(fd, buffer.data() + done, buffer.size() - done, static_cast<off_t>(offset + done)); });
    if (got < 0) return -errno;
    if (got == 0) break;
    done += static_cast<std::size_t>(got);
  }
  return static_cast<std::int64_t>(done);
}

int read_exactly_at(int fd, std::uint64_t offset, std::span<std::uint8_t> buffer) {
  const std::int64_t got = read_up_to_at(fd, offset, buffer);
  if (got < 0) return static_cast<int>(-got);
  return static_cast<std::size_t>(got) == buffer.size() ? 0 : ENODATA;
}

int write_all(int fd, ByteSpan bytes) {
  while (!bytes.empty()) {
    const ssize_t put = retry([&] { return ::write(fd, bytes.data(), bytes.size()); });
    if (put < 0) return errno;
    if (put == 0) return EIO;  // POSIX leaves it open; going round for ever is the worst answer
    bytes = bytes.subspan(static_cast<std::size_t>(put));
  }
  return 0;
}

int sync_file(int fd) {
  return retry([&] { return ::fsync(fd); }) == 0 ? 0 : errno;
}

int sync_directory(int fd) {
  const int error = sync_file(fd);
  return error == EINVAL || error == ENOSYS || error == EOPNOTSUPP ? 0 : error;
}

std::string errno_text(int error) {
  const char* text = ::strerrordesc_np(error);
  return text != nullptr ? text : "error " + std::to_string(error);
}

void random_bytes(std::span<std::uint8_t> buffer) {
  std::size_t done = 0;
  while (done < buffer.size()) {
    const ssize_t got = retry([&] { return ::getrandom(buffer.data() + done, buffer.size() - done, 0); });
    if (got <= 0) std::abort();
    done += static_cast<std::size_t>(got);
  }
}

}  // namespace vzv
