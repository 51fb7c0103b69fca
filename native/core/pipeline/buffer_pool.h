// A fixed number of read buffers of one size: what bounds the memory of a backup.
//
// A buffer comes back when the last reference to it goes, in whatever thread, also after the pool itself is gone.
// Buffers are page-aligned and made when they are first needed. Thread-safe.
#pragma once

#include <cstddef>
#include <memory>

#include "core/source/block_source.h"

namespace vzv {

class BufferPool {
 public:
  BufferPool(std::size_t count, std::size_t buffer_bytes);

  std::size_t buffer_bytes() const;
  // Null while all are in use. What it holds is undefined.
  ReadBuffer take();

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace vzv
