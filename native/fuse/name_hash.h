// A hash of names in directories whose collisions nobody can look for: who may name files in a container must not make
// its tree slow to build.
#pragma once

#include <cstdint>
#include <string_view>

namespace vzv::fuse {

// SipHash-1-3 under a key that this process has drawn (Aumasson and Bernstein, "SipHash: a fast short-input PRF").
// Thread-safe.
std::uint64_t name_hash(std::uint32_t directory, std::string_view name);

}  // namespace vzv::fuse
