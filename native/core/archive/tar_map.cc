#include "core/archive/tar_map.h"

#include <algorithm>
#include <cstring>

namespace vzv {

namespace {

std::string pair_of_lines(std::uint64_t offset, std::uint64_t length) {
  return std::to_string(offset) + "\n" + std::to_string(length) + "\n";
}

std::uint64_t digits(std::uint64_t value) {
  std::uint64_t count = 1;
  while (value >= 10) {
    value /= 10;
    ++count;
  }
  return count;
}

}  // namespace

TarMap::TarMap(const Member& file) : size_bytes_(file.size_bytes) {
  if (file.sparse) {
    extents_ = file.extents;
  } else if (file.size_bytes > 0) {
    whole_ = {0, file.size_bytes};
    extents_ = {&whole_, 1};
  }
  // The end of a file that ends in a hole, or is nothing else, is told by an empty range there.
  ends_in_hole_ = extents_.empty() || extents_.back().offset + extents_.back().length < size_bytes_;

  text_bytes_ = digits(extents_.size() + (ends_in_hole_ ? 1 : 0)) + 1;
  for (const MemberExtent& extent : extents_) {
    text_bytes_ += digits(extent.offset) + digits(extent.length) + 2;
    data_bytes_ += tar_blocks(extent.length);
  }
  if (ends_in_hole_) text_bytes_ += digits(size_bytes_) + 3;
}

// The number of ranges, then a range each, then the end that is a hole; empty behind them.
std::string TarMap::line(std::size_t number) const {
  if (number == 0) return std::to_string(extents_.size() + (ends_in_hole_ ? 1 : 0)) + "\n";
  if (number <= extents_.size()) return pair_of_lines(extents_[number - 1].offset, extents_[number - 1].length);
  if (number == extents_.size() + 1 && ends_in_hole_) return pair_of_lines(size_bytes_, 0);
  return {};
}

void TarMap::text(std::uint64_t offset, std::span<std::uint8_t> buffer) {
  if (offset < line_offset_) {
    line_ = 0;
    line_offset_ = 0;
  }
  while (!buffer.empty()) {
    const std::string text = line(line_);
    if (text.empty()) {
      std::memset(buffer.data(), 0, buffer.size());
      return;
    }
    if (offset < line_offset_ + text.size()) {
      const std::size_t from = offset - line_offset_;
      const std::size_t length = std::min(buffer.size(), text.size() - from);
      std::memcpy(buffer.data(), text.data() + from, length);
      buffer = buffer.subspan(length);
      offset += length;
      if (buffer.empty()) return;  // perhaps within this line
    }
    line_offset_ += text.size();
    ++line_;
  }
}

Status TarMap::read_data(std::uint64_t offset, std::uint64_t stream_offset, std::span<std::uint8_t> buffer,
                         const ReadArchiveData& read) {
  if (offset < range_offset_) {
    range_ = 0;
    range_offset_ = range_stored_ = 0;
  }
  while (!buffer.empty() && range_ < extents_.size()) {
    const std::uint64_t length = extents_[range_].length;
    const std::uint64_t within = offset - range_offset_;
    if (within < length) {
      const auto part = buffer.first(std::min<std::uint64_t>(buffer.size(), length - within));
      VZV_TRY(read(stream_offset + range_stored_ + within, part));
      buffer = buffer.subspan(part.size());
      offset += part.size();
    } else if (within < tar_blocks(length)) {
      const auto part = buffer.first(std::min<std::uint64_t>(buffer.size(), tar_blocks(length) - within));
      std::memset(part.data(), 0, part.size());
      buffer = buffer.subspan(part.size());
      offset += part.size();
    } else {
      range_offset_ += tar_blocks(length);
      range_stored_ += length;
      ++range_;
    }
  }
  if (!buffer.empty()) std::memset(buffer.data(), 0, buffer.size());
  return {};
}

}  // namespace vzv
