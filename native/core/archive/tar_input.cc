#include "core/archive/tar_input.h"

#include <cstring>

namespace vzv {

Result<ByteSpan> TarWindow::peek(std::size_t least) {
  if (buffer_.size() - begin_ < least) {
    std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  while (end_ - begin_ < least && !input_ended_) {
    const Result<std::size_t> count = input_.read(std::span(buffer_).subspan(end_));
    if (!count.ok()) return count.status();
    input_ended_ = *count == 0;
    end_ += *count;
  }
  if (begin_ == end_) begin_ = end_ = 0;
  return ByteSpan(buffer_).subspan(begin_, end_ - begin_);
}

}  // namespace vzv
