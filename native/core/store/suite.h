// Which encryption packs, segments and documents name in their headers, and the salt that makes each one's key its own.
#pragma once

#include <array>
#include <cstdint>
#include <string>

namespace vzv {

enum class Suite : std::uint16_t { kNone = 0, kAes256Gcm = 1 };

constexpr bool suite_known(std::uint16_t value) { return value <= 1; }

inline std::string describe_unknown_suite(std::uint16_t value) {
  return "suite " + std::to_string(value) + " is not known";
}

using Salt = std::array<std::uint8_t, 32>;

// From the kernel's random generator.
Salt new_salt();

}  // namespace vzv
