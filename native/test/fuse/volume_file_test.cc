#include "fuse/volume_file.h"

#include <doctest/doctest.h>

#include <filesystem>

#include "test/fuse/repository_fixture.h"

using vzv::RepositoryFixture;
using vzv::VolumeGeometry;
using vzv::fuse::VolumeFile;

namespace {

constexpr std::uint64_t kChunk = RepositoryFixture::kChunkSizeBytes;

std::uint64_t allocated(RepositoryFixture& fixture, std::uint64_t size_bytes,
                        const std::map<std::uint64_t, std::uint8_t>& data) {
  const VolumeGeometry geometry = VolumeGeometry::make(size_bytes, kChunk).value();
  const vzv::Id root = fixture.store(geometry, data);
  const auto reader = fixture.reader();
  VolumeFile file("drive.raw", geometry, root, *reader);
  return file.allocated_bytes();
}

}  // namespace

TEST_CASE("what a volume of one map node has allocated is exact") {
  RepositoryFixture fixture;
  CHECK(allocated(fixture, 0, {}) == 0);
  CHECK(allocated(fixture, 100 * kChunk, {}) == 0);
  CHECK(allocated(fixture, 100 * kChunk, {{3, 1}, {50, 2}}) == 2 * kChunk);
  CHECK(allocated(fixture, 2 * kChunk, {{0, 1}, {1, 1}}) == 2 * kChunk);
}

TEST_CASE("that of a larger one is estimated, and below the size where a hole was seen") {
  RepositoryFixture fixture;
  std::map<std::uint64_t, std::uint8_t> data;
  for (std::uint64_t i = 0; i < 1'000; i += 2) data.emplace(i, 0x22);
  const std::uint64_t half = allocated(fixture, 1'000 * kChunk, data);
  CHECK(half == 500 * kChunk);

  const std::uint64_t size_bytes = 64 * 1024 * vzv::limits::kMiB;
  const std::uint64_t little = allocated(fixture, size_bytes, {{0, 1}, {1, 1}, {200'000, 1}});
  CHECK(little > 0);
  CHECK(little < size_bytes / 100);
}

TEST_CASE("a map that cannot be read counts as full") {
  RepositoryFixture fixture;
  const VolumeGeometry geometry = VolumeGeometry::make(10 * kChunk, kChunk).value();
  const vzv::Id root = fixture.store(geometry, {{0, 1}});
  const auto reader = fixture.reader();
  std::filesystem::remove_all(fixture.path() / "repository" / "packs");
  VolumeFile file("drive.raw", geometry, root, *reader);
  CHECK(file.allocated_bytes() == 10 * kChunk);
}
