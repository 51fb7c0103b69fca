#include "core/store/volume_reader.h"

#include <algorithm>
#include <random>
#include <thread>

#include "core/store/map_writer.h"
#include "test/store/store_fixture.h"

using namespace vzv;
using namespace vzv::test;

namespace {

// Cuts the bytes into chunks, stores those that are not zero, answers the root of the map.
Id store_volume(const Store& store, VolumeGeometry geometry, const Bytes& bytes) {
  const auto writer = store.writer({.pack_target_bytes = 600'000});
  MapWriter map(geometry, *writer);
  for (std::uint64_t n = 0; n < geometry.chunk_count(); ++n) {
    const ByteSpan chunk = ByteSpan(bytes).subspan(geometry.chunk_offset(n), geometry.chunk_length(n));
    if (std::all_of(chunk.begin(), chunk.end(), [](std::uint8_t byte) { return byte == 0; })) continue;
    const Id id = sha256(chunk);
    must(writer->put(ChunkType::kData, id, chunk));
    must(map.set(n, id));
  }
  const Id root = must(map.finish());
  must(writer->flush());
  return root;
}

void fill(Bytes& bytes, std::size_t offset, std::size_t length, std::uint64_t seed) {
  const Bytes random = random_chunk(seed, length).bytes;
  std::copy(random.begin(), random.end(), bytes.begin() + static_cast<std::ptrdiff_t>(offset));
}

}  // namespace

TEST_CASE("an EFI disk of 540672 bytes in chunks of 512 KiB comes back byte for byte") {
  const Store store;
  const VolumeGeometry geometry = must(VolumeGeometry::make(540'672, 524'288));
  CHECK(geometry.chunk_count() == 2);
  CHECK(geometry.chunk_length(1) == 16'384);
  for (const bool tail_only : {false, true}) {
    Bytes bytes(540'672);
    fill(bytes, tail_only ? 530'000 : 0, tail_only ? 10'672 : 540'672, 1);
    const Id root = store_volume(store, geometry, bytes);
    const auto reader = store.reader(1 << 24);
    VolumeReader volume(geometry, root, *reader);
    CHECK(volume.size_bytes() == 540'672);
    Bytes out(540'672, 0xee);
    must(volume.read(0, out));
    CHECK(out == bytes);
    Bytes end(1);
    must(volume.read(540'671, end));
    CHECK(end[0] == bytes.back());
    CHECK(volume.read(540'672, end).code() == Code::E_ARGUMENT_INVALID);
    Bytes two(2);
    CHECK(volume.read(540'671, two).code() == Code::E_ARGUMENT_INVALID);
    CHECK(volume.read(UINT64_MAX, end).code() == Code::E_ARGUMENT_INVALID);
    must(volume.read(540'672, {}));
    CHECK(must(volume.seek_data(0)) == (tail_only ? 524'288 : 0));
    CHECK(must(volume.seek_hole(0)) == (tail_only ? 0 : 540'672));
    CHECK(must(volume.seek_hole(540'000)) == 540'672);
  }
}

TEST_CASE("holes are found to the byte and never read from a pack") {
  const Store store;
  constexpr std::size_t kChunk = 262'144;
  const VolumeGeometry geometry = must(VolumeGeometry::make(10 * kChunk, kChunk));
  Bytes bytes(10 * kChunk);
  fill(bytes, 3 * kChunk, 2 * kChunk, 1);
  const Id root = store_volume(store, geometry, bytes);
  const auto reader = store.reader(1 << 20);
  VolumeReader volume(geometry, root, *reader);
  CHECK(must(volume.seek_data(0)) == 3 * kChunk);
  CHECK(must(volume.seek_data(3 * kChunk + 5)) == 3 * kChunk + 5);
  CHECK(must(volume.seek_data(5 * kChunk)) == 10 * kChunk);
  CHECK(must(volume.seek_data(11 * kChunk)) == 10 * kChunk);
  CHECK(must(volume.seek_hole(7)) == 7);
  CHECK(must(volume.seek_hole(3 * kChunk)) == 5 * kChunk);
  CHECK(must(volume.seek_hole(10 * kChunk)) == 10 * kChunk);

  const std::uint64_t before = reader->counters().chunks_read;
  Bytes out(3 * kChunk, 0xee);
  must(volume.read(0, out));
  CHECK(out == Bytes(3 * kChunk));
  CHECK(reader->counters().chunks_read == before);
}

TEST_CASE("reads of any offset and length are right, from several threads") {
  const Store store;
  const std::uint64_t seed = std::random_device{}();
  MESSAGE("seed " << seed);
  constexpr std::size_t kSize = 3'000'001;
  const VolumeGeometry geometry = must(VolumeGeometry::make(kSize, 262'144));
  Bytes bytes(kSize);
  fill(bytes, 100'000, 900'000, 1);
  fill(bytes, 2'000'000, 1'000'001, 2);
  const Id root = store_volume(store, geometry, bytes);
  const auto reader = store.reader(600'000);
  VolumeReader volume(geometry, root, *reader);
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (unsigned t = 0; t < 3; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937_64 random(seed + t);
      for (int i = 0; i < 60; ++i) {
        const std::uint64_t offset = random() % kSize;
        Bytes out(random() % (kSize - offset + 1) % 700'000, 0xee);
        const Status status = volume.read(offset, out);
        if (!status.ok() || !std::equal(out.begin(), out.end(), bytes.begin() + static_cast<std::ptrdiff_t>(offset)))
          ++wrong;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(wrong == 0);
}
