// LEB128: seven bits a byte, the least significant first, the top bit set in all bytes but the last. A number has one
// spelling: no byte of zero at the end of a longer one. Signed numbers are zigzagged (0, -1, 1, -2, …) first.
//
// A VarintReader never reads past the end; like ByteReader it answers zeroes once it failed and is asked once, at the
// end of a structure, whether all went well.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/base/id.h"

namespace vzv {

inline void put_varint(Bytes& out, std::uint64_t value) {
  while (value >= 0x80) {
    out.push_back(static_cast<std::uint8_t>(value | 0x80));
    value >>= 7;
  }
  out.push_back(static_cast<std::uint8_t>(value));
}

constexpr std::uint64_t zigzag(std::int64_t value) {
  return (static_cast<std::uint64_t>(value) << 1) ^ static_cast<std::uint64_t>(value >> 63);
}
constexpr std::int64_t unzigzag(std::uint64_t value) {
  return static_cast<std::int64_t>(value >> 1) ^ -static_cast<std::int64_t>(value & 1);
}

// A length, then the bytes.
inline void put_text(Bytes& out, std::string_view text) {
  put_varint(out, text.size());
  out.insert(out.end(), text.begin(), text.end());
}

class VarintReader {
 public:
  VarintReader(ByteSpan bytes, std::size_t at) : bytes_(bytes), at_(at) {}

  bool ok() const { return ok_; }
  std::size_t offset() const { return at_; }
  std::size_t remaining() const { return bytes_.size() - at_; }

  std::uint8_t u8() {
    if (!ok_ || at_ == bytes_.size()) return fail();
    return bytes_[at_++];
  }

  std::uint64_t varint() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      const std::uint64_t byte = u8();
      if (!ok_) return 0;
      const bool fits = shift < 63 || byte <= 1;
      if (!fits || (byte == 0 && shift > 0)) return fail();
      value |= (byte & 0x7f) << shift;
      if ((byte & 0x80) == 0) return value;
    }
    return fail();
  }

  // A number that is at most `max`.
  std::uint64_t varint_up_to(std::uint64_t max) {
    const std::uint64_t value = varint();
    return value <= max ? value : fail();
  }

  // The bytes that the next length tells of, at most max_bytes. A view into what is read.
  std::string_view text(std::size_t max_bytes) {
    const auto length = static_cast<std::size_t>(varint_up_to(max_bytes));
    if (!ok_ || length > remaining()) {
      fail();
      return {};
    }
    const std::string_view answer(reinterpret_cast<const char*>(bytes_.data()) + at_, length);
    at_ += length;
    return answer;
  }

 private:
  std::uint8_t fail() {
    ok_ = false;
    return 0;
  }

  ByteSpan bytes_;
  std::size_t at_;
  bool ok_ = true;
};

}  // namespace vzv
