// What a read-ahead thread decodes ahead of a reader: something made of chunks, each named by a position in it.
#pragma once

#include <cstdint>

namespace vzv::fuse {

class Prefetched {
 public:
  virtual ~Prefetched() = default;
  // Brings the chunk at a position (a number or an offset, as the source has it) into the cache. Its faults are the
  // reader's to tell, once somebody wants the bytes. Thread-safe.
  virtual void prefetch(std::uint64_t position) = 0;
};

}  // namespace vzv::fuse
