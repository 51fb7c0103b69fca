// Little-endian reading and writing of the repository's structures, in bounds by construction.
//
// A ByteReader never reads past the end of its span: a read that would, answers zeroes and makes ok() false from then
// on, so that a decoder reads all fields of a structure and checks once. A ByteWriter appends to a Bytes. Neither owns
// what it works on; neither is thread-safe.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

#include "core/base/id.h"

namespace vzv {

class ByteReader {
 public:
  explicit ByteReader(ByteSpan bytes) : bytes_(bytes) {}

  // False once any read went past the end.
  bool ok() const { return ok_; }
  std::size_t offset() const { return offset_; }
  std::size_t remaining() const { return bytes_.size() - offset_; }

  std::uint8_t u8() { return static_cast<std::uint8_t>(integer(1)); }
  std::uint16_t u16() { return static_cast<std::uint16_t>(integer(2)); }
  std::uint32_t u32() { return static_cast<std::uint32_t>(integer(4)); }
  std::uint64_t u64() { return integer(8); }

  // Empty when fewer than `length` bytes are left.
  ByteSpan bytes(std::size_t length) {
    if (!ok_ || length > remaining()) {
      ok_ = false;
      return {};
    }
    const ByteSpan answer = bytes_.subspan(offset_, length);
    offset_ += length;
    return answer;
  }

  Id id() {
    Id answer;
    const ByteSpan from = bytes(answer.bytes.size());
    if (!from.empty()) std::memcpy(answer.bytes.data(), from.data(), from.size());
    return answer;
  }

  // True when the next bytes are exactly `magic`.
  bool magic(std::string_view magic) {
    const ByteSpan from = bytes(magic.size());
    return from.size() == magic.size() && std::memcmp(from.data(), magic.data(), magic.size()) == 0;
  }

  // True when the next `length` bytes exist and are all zero: reserved fields.
  bool zeroes(std::size_t length) {
    const ByteSpan from = bytes(length);
    if (from.size() != length) return false;
    for (const std::uint8_t byte : from) {
      if (byte != 0) return false;
    }
    return true;
  }

 private:
  std::uint64_t integer(std::size_t width) {
    const ByteSpan from = bytes(width);
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < from.size(); ++i) value |= static_cast<std::uint64_t>(from[i]) << (8 * i);
    return value;
  }

  ByteSpan bytes_;
  std::size_t offset_ = 0;
  bool ok_ = true;
};

class ByteWriter {
 public:
  explicit ByteWriter(Bytes& out) : out_(out) {}

  void u8(std::uint8_t value) { integer(value, 1); }
  void u16(std::uint16_t value) { integer(value, 2); }
  void u32(std::uint32_t value) { integer(value, 4); }
  void u64(std::uint64_t value) { integer(value, 8); }
  void bytes(ByteSpan bytes) {
    if (bytes.empty()) return;
    const std::size_t at = out_.size();
    out_.resize(at + bytes.size());
    std::memcpy(out_.data() + at, bytes.data(), bytes.size());
  }
  void id(const Id& id) { bytes(id.bytes); }
  void magic(std::string_view magic) { bytes({reinterpret_cast<const std::uint8_t*>(magic.data()), magic.size()}); }
  void zeroes(std::size_t length) { out_.resize(out_.size() + length, 0); }

 private:
  void integer(std::uint64_t value, std::size_t width) {
    for (std::size_t i = 0; i < width; ++i) out_.push_back(static_cast<std::uint8_t>(value >> (8 * i)));
  }

  Bytes& out_;
};

inline ByteSpan as_bytes(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

}  // namespace vzv
