// Makes reads of parts of files fail, as a disk does with a sector that it cannot read any more.
//
// The linker's --wrap turns every pread(2) of a test program that has this file into one that comes here first, so that
// the objects under test are the ones that are shipped. One at a time. Thread-safe.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <vector>

namespace vzv::test {

class UnreadableRanges {
 public:
  UnreadableRanges();
  ~UnreadableRanges();
  UnreadableRanges(const UnreadableRanges&) = delete;
  UnreadableRanges& operator=(const UnreadableRanges&) = delete;

  // Reads of the file that touch [offset, offset + length) answer the error, whatever name it gets. REQUIRES: it exists
  void add(const std::string& path, std::uint64_t offset, std::uint64_t length, int error);
  // Called before each failure, with how many there were; false lets the read succeed.
  void when(std::function<bool(std::uint64_t failures)> fails) { fails_ = std::move(fails); }

  // For the wrapped call: 0 or an errno.
  int error_of(int fd, std::uint64_t offset, std::uint64_t length);

 private:
  struct Range {
    dev_t device;
    ino_t file;
    std::uint64_t begin;
    std::uint64_t end;
    int error;
  };

  std::mutex mutex_;
  std::vector<Range> ranges_;
  std::uint64_t failures_ = 0;
  std::function<bool(std::uint64_t)> fails_;
};

}  // namespace vzv::test
