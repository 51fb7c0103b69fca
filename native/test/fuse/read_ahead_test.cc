#include "fuse/read_ahead.h"

#include <doctest/doctest.h>

#include <chrono>
#include <filesystem>
#include <thread>

#include "test/fuse/repository_fixture.h"
#include "test/support/few_threads.h"

using vzv::RepositoryFixture;
using vzv::VolumeGeometry;
using vzv::fuse::ReadAheadPool;
using vzv::fuse::ReadStream;
using vzv::fuse::VolumeFile;

namespace {

constexpr std::uint64_t kChunk = RepositoryFixture::kChunkSizeBytes;
constexpr std::uint64_t kWindowChunks = vzv::limits::kMountReadAheadBytes / kChunk;

// A volume of `chunk_count` chunks of which those in `data` hold data.
struct Volume {
  Volume(std::uint64_t chunk_count, const std::map<std::uint64_t, std::uint8_t>& data)
      : geometry(VolumeGeometry::make(chunk_count * kChunk, kChunk).value()),
        root(fixture.store(geometry, data)),
        chunks(fixture.reader()),
        file("drive.raw", geometry, root, *chunks) {}

  std::uint64_t data_chunks_read() const { return chunks->counters().chunks_read - (map_nodes); }

  RepositoryFixture fixture;
  VolumeGeometry geometry;
  vzv::Id root;
  std::unique_ptr<vzv::ChunkReader> chunks;
  VolumeFile file;
  std::uint64_t map_nodes = 1;
};

std::map<std::uint64_t, std::uint8_t> all_data(std::uint64_t count) {
  std::map<std::uint64_t, std::uint8_t> chunks;
  for (std::uint64_t i = 0; i < count; ++i) chunks.emplace(i, 0x11);
  return chunks;
}

// What the pool has fetched once it has nothing left to do.
std::uint64_t settled(const ReadAheadPool& pool, std::uint64_t at_least) {
  for (int i = 0; i < 500 && pool.fetched() < at_least; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  std::this_thread::sleep_for(std::chrono::milliseconds(30));
  return pool.fetched();
}

}  // namespace

TEST_CASE("a reader that goes on into the next chunk has the window fetched, once") {
  Volume volume(100, all_data(100));
  ReadAheadPool pool(2, 64 * vzv::limits::kMiB);
  ReadStream stream(volume.file, pool);
  stream.note(0, kChunk / 2);
  stream.note(kChunk / 2, kChunk / 2);
  CHECK(settled(pool, 0) == 0);
  stream.note(kChunk, kChunk / 2);
  CHECK(settled(pool, kWindowChunks) == kWindowChunks);
  stream.note(kChunk + kChunk / 2, kChunk / 2);
  CHECK(settled(pool, kWindowChunks) == kWindowChunks);
  stream.note(2 * kChunk, kChunk);
  CHECK(settled(pool, kWindowChunks + 1) == kWindowChunks + 1);
  CHECK(volume.data_chunks_read() == kWindowChunks + 1);
}

TEST_CASE("read-ahead ends with the volume") {
  Volume volume(8, all_data(8));
  ReadAheadPool pool(1, 64 * vzv::limits::kMiB);
  ReadStream stream(volume.file, pool);
  for (std::uint64_t i = 0; i < 8; ++i) stream.note(i * kChunk, kChunk);
  CHECK(settled(pool, 6) == 6);
}

TEST_CASE("random reads fetch nothing ahead") {
  Volume volume(200, all_data(200));
  ReadAheadPool pool(2, 64 * vzv::limits::kMiB);
  ReadStream stream(volume.file, pool);
  for (const std::uint64_t chunk : {0, 150, 20, 170, 3, 90, 199, 60}) stream.note(chunk * kChunk + 4096, 4096);
  CHECK(settled(pool, 0) == 0);
}

TEST_CASE("a stream goes on over a hole and fetches beyond it") {
  std::map<std::uint64_t, std::uint8_t> data = {{0, 1}, {1, 1}, {2, 1}, {90, 1}, {91, 1}, {92, 1}};
  Volume volume(100, data);
  ReadAheadPool pool(2, 64 * vzv::limits::kMiB);
  ReadStream stream(volume.file, pool);
  stream.note(0, kChunk);
  stream.note(kChunk, kChunk);
  CHECK(settled(pool, 4) == 4);
  stream.note(2 * kChunk, kChunk);
  stream.note(90 * kChunk, kChunk);
  stream.note(91 * kChunk, kChunk);
  CHECK(settled(pool, 4) == 4);
  CHECK(volume.data_chunks_read() == 4);
}

TEST_CASE("many streams share the budget") {
  Volume volume(100, all_data(100));
  ReadAheadPool pool(1, 4 * kChunk);
  CHECK(pool.window_bytes() == 4 * kChunk);
  {
    ReadStream first(volume.file, pool);
    ReadStream second(volume.file, pool);
    for (std::uint64_t i = 0; i < 3; ++i) {
      first.note(i * kChunk, kChunk);
      second.note((i + 50) * kChunk, kChunk);
    }
    CHECK(pool.window_bytes() == 2 * kChunk);
  }
  CHECK(pool.window_bytes() == 4 * kChunk);
}

TEST_CASE("a damaged chunk ahead is left to its reader, and stopping is prompt") {
  Volume volume(100, all_data(100));
  for (const auto& entry :
       std::filesystem::recursive_directory_iterator(volume.fixture.path() / "repository" / "packs")) {
    if (entry.is_regular_file()) std::filesystem::resize_file(entry.path(), 100);
  }
  ReadAheadPool pool(2, 64 * vzv::limits::kMiB);
  ReadStream stream(volume.file, pool);
  stream.note(0, kChunk);
  stream.note(kChunk, kChunk);
  vzv::Bytes buffer(kChunk);
  CHECK_FALSE(volume.file.read(0, buffer).ok());
  CHECK(pool.stop(std::chrono::seconds(5)));
  CHECK_FALSE(pool.request(volume.file, 1));
}

TEST_CASE("without threads nothing is fetched and nothing waits") {
  Volume volume(10, all_data(10));
  ReadAheadPool pool(0, 64 * vzv::limits::kMiB);
  ReadStream stream(volume.file, pool);
  for (std::uint64_t i = 0; i < 10; ++i) stream.note(i * kChunk, kChunk);
  CHECK(pool.fetched() == 0);
  CHECK(pool.stop(std::chrono::milliseconds(0)));
}

TEST_CASE("where no thread is left nothing is fetched ahead, and where one is, by that one") {
  Volume volume(100, all_data(100));
  {
    const vzv::test::FewThreads none(0);
    ReadAheadPool pool(2, 64 * vzv::limits::kMiB);
    CHECK(!pool.request(volume.file, 1));
    CHECK(pool.stop(std::chrono::milliseconds(0)));
  }
  const vzv::test::FewThreads one(1);
  ReadAheadPool pool(2, 64 * vzv::limits::kMiB);
  CHECK(pool.request(volume.file, 1));
  CHECK(settled(pool, 1) == 1);
  CHECK(pool.stop(std::chrono::seconds(10)));
}
