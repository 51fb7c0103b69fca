#include "fuse/name_hash.h"

#include <bit>
#include <cstring>
#include <random>

namespace vzv::fuse {
namespace {

struct Key {
  std::uint64_t low;
  std::uint64_t high;
};

Key draw_key() {
  std::random_device random;
  const auto word = [&random] { return static_cast<std::uint64_t>(random()) << 32 | random(); };
  return {word(), word()};
}

struct State {
  std::uint64_t v0, v1, v2, v3;

  void round() {
    v0 += v1;
    v1 = std::rotl(v1, 13) ^ v0;
    v0 = std::rotl(v0, 32);
    v2 += v3;
    v3 = std::rotl(v3, 16) ^ v2;
    v0 += v3;
    v3 = std::rotl(v3, 21) ^ v0;
    v2 += v1;
    v1 = std::rotl(v1, 17) ^ v2;
    v2 = std::rotl(v2, 32);
  }
  void take(std::uint64_t word) {
    v3 ^= word;
    round();
    v0 ^= word;
  }
};

}  // namespace

std::uint64_t name_hash(std::uint32_t directory, std::string_view name) {
  static const Key kKey = draw_key();
  State state{kKey.low ^ 0x736f6d6570736575, kKey.high ^ 0x646f72616e646f6d, kKey.low ^ 0x6c7967656e657261,
              kKey.high ^ 0x7465646279746573};
  state.take(directory);
  std::size_t at = 0;
  for (; name.size() - at >= 8; at += 8) {
    std::uint64_t word;
    std::memcpy(&word, name.data() + at, 8);
    state.take(word);
  }
  std::uint64_t last = static_cast<std::uint64_t>(name.size()) << 56;
  for (unsigned shift = 0; at < name.size(); ++at, shift += 8) {
    last |= static_cast<std::uint64_t>(static_cast<unsigned char>(name[at])) << shift;
  }
  state.take(last);
  state.v2 ^= 0xff;
  for (int i = 0; i < 3; ++i) state.round();
  return state.v0 ^ state.v1 ^ state.v2 ^ state.v3;
}

}  // namespace vzv::fuse
