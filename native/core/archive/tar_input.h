// Where a tar stream comes from, and a window of bounded size onto it. One thread at a time.
#pragma once

#include <cstdint>
#include <span>

#include "core/base/id.h"
#include "core/base/status.h"

namespace vzv {

class TarInput {
 public:
  virtual ~TarInput() = default;
  // At least one byte, at most buffer.size(); 0 at the end of the stream. Waits as long as it takes.
  // REQUIRES: buffer is not empty
  virtual Result<std::size_t> read(std::span<std::uint8_t> buffer) = 0;
};

inline constexpr std::size_t kTarBlockBytes = 512;

class TarWindow {
 public:
  // REQUIRES: the input outlives this; capacity is at least a block.
  TarWindow(TarInput& input, std::size_t capacity) : input_(input), buffer_(capacity) {}

  // Where in the stream the window begins.
  std::uint64_t offset() const { return offset_; }
  // The next bytes of the stream: at least `least`, unless it ends before. REQUIRES: least <= capacity
  Result<ByteSpan> peek(std::size_t least);
  // The window begins so many bytes later. REQUIRES: count <= what peek() answered last
  void consume(std::size_t count) {
    begin_ += count;
    offset_ += count;
  }

 private:
  TarInput& input_;
  Bytes buffer_;
  std::size_t begin_ = 0;  // [begin_, end_) of the buffer is the window
  std::size_t end_ = 0;
  bool input_ended_ = false;
  std::uint64_t offset_ = 0;
};

}  // namespace vzv
