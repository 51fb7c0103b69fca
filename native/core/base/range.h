// A part of a disk: [offset, offset + length) in bytes. Plain value.
#pragma once

#include <cstdint>

namespace vzv {

struct Range {
  std::uint64_t offset = 0;
  std::uint64_t length = 0;

  // REQUIRES: does not pass 2^64
  std::uint64_t end() const { return offset + length; }
  bool operator==(const Range&) const = default;
};

}  // namespace vzv
