// Chunk, pack, segment and node ids: 32 bytes, shown as 64 lower-case hex digits.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace vzv {

using Bytes = std::vector<std::uint8_t>;
using ByteSpan = std::span<const std::uint8_t>;

struct Id {
  std::array<std::uint8_t, 32> bytes{};

  auto operator<=>(const Id&) const = default;
  // The zero sentinel of docs/format.md: "all zero", never the id of anything stored.
  bool is_zero() const { return *this == Id{}; }
  std::string hex() const;
  static std::optional<Id> from_hex(std::string_view text);  // exactly 64 lower-case digits
};

// Ids are uniformly distributed already.
struct IdHash {
  std::size_t operator()(const Id& id) const {
    std::size_t value;
    std::memcpy(&value, id.bytes.data(), sizeof value);
    return value;
  }
};

}  // namespace vzv
