// The seed of a run: VZVAULT_CRASH_SEED, else another each time. Tests print it.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <random>
#include <string>

namespace vzv::test {

inline std::uint64_t seed_of_run() {
  const char* given = std::getenv("VZVAULT_CRASH_SEED");
  return given != nullptr ? std::stoull(given) : std::random_device{}();
}

}  // namespace vzv::test
