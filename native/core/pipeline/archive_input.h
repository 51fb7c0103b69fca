// A tar stream that comes through a pipe: waits for it without end, but not longer than the token allows, and reads no
// faster than the limit. One thread.
#pragma once

#include <atomic>
#include <cstdint>

#include "core/archive/tar_input.h"
#include "core/base/cancel.h"
#include "core/pipeline/rate_limiter.h"

namespace vzv {

class ArchiveInput : public TarInput {
 public:
  // `read_bytes` counts. No limiter: no limit. REQUIRES: the descriptor (a pipe, socket or file), the limiter, the
  // counter and the token outlive this.
  ArchiveInput(int fd, RateLimiter* limiter, std::atomic<std::uint64_t>& read_bytes, const CancelToken& cancel);

  // E_SOURCE_READ, E_CANCELLED. A stream that is silent is no error: tar may be at a file that takes long.
  Result<std::size_t> read(std::span<std::uint8_t> buffer) override;

 private:
  Status wait_for_limit(std::size_t bytes);

  const int fd_;
  RateLimiter* const limiter_;
  std::atomic<std::uint64_t>& read_bytes_;
  const CancelToken& cancel_;
};

}  // namespace vzv
