// The files that are open, and the requests that name one: read, lseek and release, alike for all kinds.
//
// A read either answers bytes that the store has proven or fails as a whole with EIO and a line in the log; a short
// answer would make the kernel fill up with zeroes. Threads: any.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <unordered_map>

#include "fuse/faults.h"
#include "fuse/fuse_api.h"
#include "fuse/open_file.h"

namespace vzv::fuse {

class OpenFiles {
 public:
  // `faults` outlives this.
  explicit OpenFiles(Faults& faults) : faults_(faults) {}

  // Answers an open. REQUIRES: for reading only
  void reply(fuse_req_t request, fuse_file_info* info, std::unique_ptr<OpenFile> file);
  void release(fuse_req_t request, const fuse_file_info& info);
  void read(fuse_req_t request, std::size_t size, off_t offset, const fuse_file_info& info);
  void lseek(fuse_req_t request, off_t offset, int whence, const fuse_file_info& info);

  std::uint64_t reads() const { return reads_.load(std::memory_order_relaxed); }
  std::uint64_t read_bytes() const { return read_bytes_.load(std::memory_order_relaxed); }
  std::uint64_t count() const;

 private:
  Faults& faults_;
  std::atomic<std::uint64_t> reads_{0};
  std::atomic<std::uint64_t> read_bytes_{0};
  mutable std::mutex mutex_;
  // Guarded by mutex_. The key is the kernel's file handle. A mount that is torn down leaves files open: they end here.
  std::unordered_map<std::uint64_t, std::unique_ptr<OpenFile>> files_;
};

}  // namespace vzv::fuse
