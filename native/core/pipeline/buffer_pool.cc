#include "core/pipeline/buffer_pool.h"

#include <cstdint>
#include <mutex>
#include <new>
#include <vector>

namespace vzv {

namespace {

constexpr std::align_val_t kPage{4096};

struct Free {
  void operator()(std::uint8_t* bytes) const { ::operator delete[](bytes, kPage); }
};
using Block = std::unique_ptr<std::uint8_t[], Free>;

}  // namespace

struct BufferPool::State {
  const std::size_t buffer_bytes;
  std::mutex mutex;
  std::size_t unmade;        // GUARDED BY mutex; how many more may be made
  std::vector<Block> spare;  // GUARDED BY mutex
};

BufferPool::BufferPool(std::size_t count, std::size_t buffer_bytes) : state_(new State{buffer_bytes, {}, count, {}}) {
  // So that giving a buffer back needs no memory.
  state_->spare.reserve(count);
}

std::size_t BufferPool::buffer_bytes() const { return state_->buffer_bytes; }

ReadBuffer BufferPool::take() {
  Block block;
  {
    std::lock_guard lock(state_->mutex);
    if (!state_->spare.empty()) {
      block = std::move(state_->spare.back());
      state_->spare.pop_back();
    } else if (state_->unmade > 0) {
      --state_->unmade;
      block.reset(static_cast<std::uint8_t*>(::operator new[](state_->buffer_bytes, kPage)));
    } else {
      return nullptr;
    }
  }
  return ReadBuffer(block.release(), [state = state_](std::uint8_t* bytes) {
    std::lock_guard lock(state->mutex);
    state->spare.emplace_back(bytes);
  });
}

}  // namespace vzv
