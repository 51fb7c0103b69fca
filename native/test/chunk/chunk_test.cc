// Zero detection and the geometry of volumes.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>

#include "core/chunk/volume_geometry.h"
#include "core/chunk/zero.h"

namespace vzv {
namespace {

constexpr std::uint32_t kKiB = 1024;

TEST_CASE("is_zero finds a single byte wherever it stands, at every length and alignment") {
  for (std::size_t length : {0, 1, 7, 63, 64, 65, 127, 128, 129, 1'000, 4'096, 4'099}) {
    for (std::size_t shift = 0; shift < 9; ++shift) {
      Bytes bytes(length + shift);
      const ByteSpan span(bytes.data() + shift, length);
      REQUIRE(is_zero(span));
      for (std::size_t at = 0; at < length; at += (length > 300 ? 61 : 1)) {
        bytes[shift + at] = 1;
        REQUIRE_FALSE(is_zero(span));
        bytes[shift + at] = 0;
      }
      if (length > 0) {
        bytes[shift + length - 1] = 0x80;
        REQUIRE_FALSE(is_zero(span));
      }
    }
  }
}

TEST_CASE("is_zero does not look beyond its bytes") {
  Bytes bytes(300, 0);
  bytes[0] = bytes[299] = 1;
  CHECK(is_zero({bytes.data() + 1, 298}));
}

TEST_CASE("a geometry has only chunk sizes that the format names") {
  for (std::uint32_t good : {256 * kKiB, 512 * kKiB, 1024 * kKiB, 4096 * kKiB})
    CHECK(VolumeGeometry::make(1, good).ok());
  for (std::uint32_t bad : {0U, 1U, 4096U, 128 * kKiB, 2048 * kKiB, 8192 * kKiB, 512 * kKiB + 1, 0xFFFF'FFFFU}) {
    CHECK(VolumeGeometry::make(1, bad).status().code() == Code::E_ARGUMENT_INVALID);
  }
}

TEST_CASE("a geometry counts chunks, their lengths and the levels of their map") {
  struct Vector {
    std::uint64_t size, count;
    std::uint32_t last;
    unsigned levels;
  };
  const std::uint64_t chunk = 512 * kKiB;
  const Vector vectors[] = {
      {0, 0, 0, 1},
      {1, 1, 1, 1},
      {chunk, 1, 512 * kKiB, 1},
      {chunk + 1, 2, 1, 1},
      {256 * chunk, 256, 512 * kKiB, 1},
      {256 * chunk + 512, 257, 512, 2},
      {65'536 * chunk, 65'536, 512 * kKiB, 2},
      {65'536 * chunk + 1, 65'537, 1, 3},
      {(1ULL << 32) * chunk, 1ULL << 32, 512 * kKiB, 4},
      {(1ULL << 40) * chunk, 1ULL << 40, 512 * kKiB, 5},
  };
  for (const Vector& v : vectors) {
    CAPTURE(v.size);
    const auto geometry = VolumeGeometry::make(v.size, chunk);
    REQUIRE(geometry.ok());
    CHECK(geometry.value().chunk_count() == v.count);
    CHECK(geometry.value().levels() == v.levels);
    if (v.count > 0) CHECK(geometry.value().chunk_length(v.count - 1) == v.last);
    if (v.count > 1) CHECK(geometry.value().chunk_length(0) == chunk);
  }
}

TEST_CASE("a geometry refuses more chunks than the format allows, also at the end of 64 bits") {
  const std::uint64_t chunk = 512 * kKiB;
  CHECK(VolumeGeometry::make((1ULL << 40) * chunk + 1, chunk).status().code() == Code::E_ARGUMENT_INVALID);
  CHECK(VolumeGeometry::make(~0ULL, chunk).status().code() == Code::E_ARGUMENT_INVALID);
  CHECK(VolumeGeometry::make(~0ULL, 4096 * kKiB).status().code() == Code::E_ARGUMENT_INVALID);
}

}  // namespace
}  // namespace vzv
