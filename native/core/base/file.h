// Plain file calls: descriptors that close themselves, reads and writes that are whole or an error, durable
// directories.
//
// Every function retries EINTR. Those that answer an errno leave the wording (and so the code) to the caller, who knows
// whether it is the repository, a source or a target that failed.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <utility>

#include "core/base/id.h"
#include "core/base/status.h"

namespace vzv {

// Owns a file descriptor, or none (-1).
class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(other.release()) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    if (this != &other) reset(other.release());
    return *this;
  }
  UniqueFd(const UniqueFd&) = delete;
  UniqueFd& operator=(const UniqueFd&) = delete;
  ~UniqueFd() { reset(); }

  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }
  int release() { return std::exchange(fd_, -1); }
  void reset(int fd = -1);

 private:
  int fd_ = -1;
};

// openat(2) with O_CLOEXEC. On failure the descriptor is not valid and errno tells why.
UniqueFd open_at(int directory, const char* name, int flags, unsigned mode = 0);

// Fills `buffer` from `offset`. Answers 0, an errno, or ENODATA where the file ends before the buffer is full.
int read_exactly_at(int fd, std::uint64_t offset, std::span<std::uint8_t> buffer);

// Reads at most buffer.size() bytes at `offset`; less only at the end of the file. Bytes read, or a negative errno.
std::int64_t read_up_to_at(int fd, std::uint64_t offset, std::span<std::uint8_t> buffer);

// Writes all of `bytes` at the file position. Answers 0 or an errno.
int write_all(int fd, ByteSpan bytes);

// fsync(2). Answers 0 or an errno.
int sync_file(int fd);

// Makes the entries of the directory `fd` durable. Answers 0 also where the file system has no such notion (some
// network file systems answer EINVAL: there the server decides). Otherwise an errno.
int sync_directory(int fd);

// "No space left on device", whatever the locale. Thread-safe, unlike strerror(3).
std::string errno_text(int error);

// Bytes from the kernel's random generator. Aborts where there is none: nothing here may go on with bytes that are not
// random.
void random_bytes(std::span<std::uint8_t> buffer);

}  // namespace vzv
