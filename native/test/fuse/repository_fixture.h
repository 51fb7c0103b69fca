// A repository in a temporary directory with one volume in it, for the tests of the mount's parts.
#pragma once

#include <doctest/doctest.h>
#include <stdlib.h>

#include <filesystem>
#include <map>
#include <memory>
#include <string>

#include "core/base/sha256.h"
#include "core/store/chunk_reader.h"
#include "core/store/chunk_writer.h"
#include "core/store/map_writer.h"

namespace vzv {

class RepositoryFixture {
 public:
  static constexpr std::uint32_t kChunkSizeBytes = 256 * 1024;

  RepositoryFixture() {
    std::string pattern = std::filesystem::temp_directory_path() / "vzvault-fuse-test-XXXXXX";
    REQUIRE(mkdtemp(pattern.data()) != nullptr);
    path_ = pattern;
    std::filesystem::create_directories(path_ / "repository");
    auto opened = RepositoryDir::open(path_ / "repository");
    REQUIRE(opened.ok());
    dir_ = *opened;
    auto index = Index::open(dir_, path_ / "cache");
    REQUIRE(index.ok());
    index_ = *index;
  }
  ~RepositoryFixture() { std::filesystem::remove_all(path_); }

  // Chunk number to fill byte; other chunks are zero.
  Id store(const VolumeGeometry& geometry, const std::map<std::uint64_t, std::uint8_t>& chunks) {
    auto writer = ChunkWriter::create(dir_, index_);
    REQUIRE(writer.ok());
    MapWriter map(geometry, **writer);
    for (const auto& [number, fill] : chunks) {
      Bytes plain(geometry.chunk_length(number), fill);
      plain[0] = static_cast<std::uint8_t>(number);
      plain[1] = static_cast<std::uint8_t>(number >> 8);
      const Id id = sha256(plain);
      REQUIRE((*writer)->put(ChunkType::kData, id, plain).ok());
      REQUIRE(map.set(number, id).ok());
    }
    const auto root = map.finish();
    REQUIRE(root.ok());
    REQUIRE((*writer)->flush().ok());
    return *root;
  }

  std::unique_ptr<ChunkReader> reader(std::uint64_t cache_bytes = 64 * limits::kMiB) {
    return std::make_unique<ChunkReader>(dir_, index_, cache_bytes);
  }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  std::shared_ptr<RepositoryDir> dir_;
  std::shared_ptr<Index> index_;
};

}  // namespace vzv
