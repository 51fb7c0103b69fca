// Fills a repository with the disks of many guests, each with many snapshots, as quickly as can be: `make
// bench-repository`.
//
//   make_repository REPOSITORY CACHE CHUNKS GUESTS SNAPSHOTS
//
// prints a JSON object a line for each snapshot: guest and snapshot by number, and the map of its disk. The documents
// are the caller's to write.
//
// All disks together have CHUNKS different chunks, nine tenths of them in the first snapshots. Those after it change
// runs of neighbouring chunks, as guests do. Chunks are announced as 512 KiB, but are of 512 bytes, so that millions
// fit anywhere: a restore would fail, but whatever looks at maps, packs and index finds them as it would those of real
// disks. Packs are of the least size that a collection does not count as small.
#include <iostream>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "bench/need.h"
#include "core/base/sha256.h"
#include "core/chunk/volume_geometry.h"
#include "core/store/chunk_writer.h"
#include "core/store/map_writer.h"

namespace vzv {
namespace {

constexpr std::uint32_t kAnnouncedBytes = 512 * limits::kKiB;
constexpr std::size_t kChunkBytes = 512;
constexpr std::uint64_t kPackBytes = 17 * limits::kMiB;
// A snapshot's changes come in so many runs.
constexpr std::uint64_t kRuns = 20;

struct Arguments {
  std::string repository;
  std::string cache;
  std::uint64_t chunks = 0;
  std::uint64_t guests = 0;
  std::uint64_t snapshots = 0;
};

class Generator {
 public:
  explicit Generator(const Arguments& arguments) : arguments_(arguments) {
    const auto dir = need(RepositoryDir::open(arguments.repository));
    const auto index = need(Index::open(dir, arguments.cache));
    data_ = need(ChunkWriter::create(dir, index, {.pack_target_bytes = kPackBytes}));
    maps_ = need(ChunkWriter::create(dir, index));
  }

  void run() {
    const std::uint64_t of_guest = arguments_.chunks / arguments_.guests;
    const std::uint64_t later = std::max<std::uint64_t>(arguments_.snapshots - 1, 1);
    const std::uint64_t changed = of_guest / 10 / later;
    for (std::uint64_t guest = 0; guest < arguments_.guests; ++guest) {
      std::vector<Id> disk(of_guest - changed * (arguments_.snapshots - 1));
      for (Id& chunk : disk) chunk = put_chunk();
      print(guest, 0, put_map(disk), disk.size());
      for (std::uint64_t snapshot = 1; snapshot < arguments_.snapshots; ++snapshot) {
        for (std::uint64_t run = 0; run < kRuns; ++run) {
          const std::uint64_t length = changed * (run + 1) / kRuns - changed * run / kRuns;
          // Each in its own part of the disk, so that no chunk is replaced before it was in a snapshot.
          const std::uint64_t part = disk.size() / kRuns;
          const std::uint64_t first = run * part + random_() % (part - length + 1);
          for (std::uint64_t n = first; n < first + length; ++n) disk[n] = put_chunk();
        }
        print(guest, snapshot, put_map(disk), disk.size());
      }
    }
    need(data_->flush());
    need(maps_->flush());
  }

 private:
  // One that was never there before, and does not compress.
  Id put_chunk() {
    Bytes bytes(kChunkBytes);
    for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(random_());
    const Id id = sha256(bytes);
    need(data_->put(ChunkType::kData, id, bytes));
    return id;
  }

  Id put_map(const std::vector<Id>& disk) {
    MapWriter map(geometry_of(disk.size()), *maps_);
    for (std::size_t n = 0; n < disk.size(); ++n) need(map.set(n, disk[n]));
    return need(map.finish());
  }

  static VolumeGeometry geometry_of(std::uint64_t chunks) {
    return need(VolumeGeometry::make(chunks * kAnnouncedBytes, kAnnouncedBytes));
  }

  static void print(std::uint64_t guest, std::uint64_t snapshot, const Id& root, std::uint64_t chunks) {
    const VolumeGeometry geometry = geometry_of(chunks);
    const nlohmann::json map = {{"sizeBytes", geometry.size_bytes},
                                {"chunkSizeBytes", geometry.chunk_size_bytes},
                                {"levels", geometry.levels()},
                                {"rootId", root.hex()}};
    std::cout << nlohmann::json{{"guest", guest}, {"snapshot", snapshot}, {"map", map}}.dump() << "\n";
  }

  const Arguments arguments_;
  std::unique_ptr<ChunkWriter> data_;
  std::unique_ptr<ChunkWriter> maps_;  // of its own: their packs are as large as ever
  std::mt19937_64 random_{1};
};

}  // namespace
}  // namespace vzv

int main(int argc, char** argv) {
  const vzv::Arguments arguments =
      argc == 6 ? vzv::Arguments{argv[1], argv[2], std::strtoull(argv[3], nullptr, 10),
                                 std::strtoull(argv[4], nullptr, 10), std::strtoull(argv[5], nullptr, 10)}
                : vzv::Arguments{};
  if (arguments.guests == 0 || arguments.snapshots == 0 || arguments.chunks / arguments.guests < 1'000) {
    vzv::give_up("usage: make_repository REPOSITORY CACHE CHUNKS GUESTS SNAPSHOTS, 1000 chunks a guest or more");
  }
  vzv::Generator(arguments).run();
  return 0;
}
