// Requests that the store cannot answer: EIO for who asked, a line in the log, a count. Threads: any.
#pragma once

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <string>

#include "fuse/fuse_api.h"
#include "fuse/log.h"

namespace vzv::fuse {

class Faults {
 public:
  // The log outlives this.
  explicit Faults(Log& log) : log_(log) {}

  // `doing` what to the file or directory at `path`: "reading bytes 0 to 4096", "drive-scsi0.raw".
  void reply(fuse_req_t request, const std::string& doing, const std::string& path, const Status& status) {
    count_.fetch_add(1, std::memory_order_relaxed);
    log_.fault(path + ": " + status.message(), doing + " of " + path, status);
    fuse_reply_err(request, EIO);
  }
  std::uint64_t count() const { return count_.load(std::memory_order_relaxed); }

 private:
  Log& log_;
  std::atomic<std::uint64_t> count_{0};
};

}  // namespace vzv::fuse
