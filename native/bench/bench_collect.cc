// What a collection of a large repository takes: a repository of many tiny chunks is made, marked twice, its packs
// judged, its segments merged, and verified without a key; each step in a process of its own, whose peak of memory is
// shown.
//
//   bench_collect [--directory DIR] [--chunks 200000]
//
// DIR must not exist; it stays, for whoever wants to look. Without it a temporary directory is used and removed. Chunks
// are of 16 bytes, so that a repository of millions fits anywhere: marking looks at none of them. Volumes of 262,144
// chunks each have two snapshots that differ in every thousandth chunk.
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include "bench/need.h"
#include "core/base/sha256.h"
#include "core/collect/collection.h"
#include "core/store/map_writer.h"
#include "core/store/store_verify.h"

namespace vzv {
namespace {

constexpr std::uint64_t kVolumeChunks = 262'144;
constexpr std::uint32_t kChunkBytes = 512 * 1024;
// A thousand of the tiny chunks a pack: as many packs as a repository of such a number of chunks might have.
constexpr std::uint64_t kPackBytes = 16 * 1024;
constexpr std::uint64_t kChangedEvery = 1'000;

struct Place {
  std::string directory;
  std::uint64_t chunks;

  std::shared_ptr<RepositoryDir> repository() const { return need(RepositoryDir::open(directory + "/repository")); }
  std::shared_ptr<Index> index() const { return need(Index::open(repository(), directory + "/cache")); }
  std::string roots_file() const { return directory + "/roots"; }
};

// One snapshot of a volume. Chunks of the second generation are others in every kChangedEvery-th place.
MapRoot put_volume(ChunkWriter& writer, std::uint64_t volume, std::uint64_t chunks, std::uint64_t generation) {
  const VolumeGeometry geometry = need(VolumeGeometry::make(chunks * kChunkBytes, kChunkBytes));
  MapWriter map(geometry, writer);
  Bytes bytes(16);
  for (std::uint64_t n = 0; n < chunks; ++n) {
    const std::uint64_t made_of = n % kChangedEvery == 0 ? generation : 0;
    const std::uint64_t words[2] = {volume << 32 | n, made_of};
    std::memcpy(bytes.data(), words, sizeof words);
    const Id id = sha256(bytes);
    need(writer.put(ChunkType::kData, id, bytes));
    need(map.set(n, id));
  }
  const Id root = need(map.finish());
  return {MapRoot::Kind::kVolume, ChunkType::kData, geometry.size_bytes, kChunkBytes, geometry.levels(), root};
}

void generate(const Place& place) {
  const auto writer = need(ChunkWriter::create(place.repository(), place.index(), {.pack_target_bytes = kPackBytes}));
  std::ofstream roots(place.roots_file(), std::ios::binary);
  for (std::uint64_t volume = 0; volume * kVolumeChunks < place.chunks; ++volume) {
    const std::uint64_t chunks = std::min(kVolumeChunks, place.chunks - volume * kVolumeChunks);
    for (const std::uint64_t generation : {1, 2}) {
      const MapRoot root = put_volume(*writer, volume, chunks, generation);
      roots.write(reinterpret_cast<const char*>(&root), sizeof root);
    }
  }
  need(writer->flush());
  std::printf("  added %.1f MiB\n", static_cast<double>(writer->added_bytes()) / (1 << 20));
}

std::vector<MapRoot> read_roots(const Place& place) {
  std::vector<MapRoot> roots(std::filesystem::file_size(place.roots_file()) / sizeof(MapRoot));
  std::ifstream file(place.roots_file(), std::ios::binary);
  file.read(reinterpret_cast<char*>(roots.data()), static_cast<std::streamsize>(roots.size() * sizeof(MapRoot)));
  return roots;
}

// Without pruned: from all snapshots. Then the first of the two of each volume is gone.
enum class Roots { kAll, kPruned };

// With merging, packs go that hold anything dead, and some thousand more.
void collect(const Place& place, Roots which, bool merges) {
  const auto index = place.index();
  const auto collection = need(Collection::create(place.repository(), index, {.session = std::string(32, 'b')}));
  CancelToken cancel;
  CollectCounters counters;
  const CollectControl control{cancel, {}};
  std::vector<MapRoot> roots = read_roots(place);
  if (which == Roots::kPruned) {
    for (std::size_t n = 0; n < roots.size(); ++n) roots[n] = roots[n | 1];
  }
  need(collection->mark(roots, control, counters));
  std::printf("  marked %llu chunks; nodes: %llu read, %llu remembered; files opened: %llu\n",
              static_cast<unsigned long long>(counters.chunks_marked),
              static_cast<unsigned long long>(counters.nodes_read),
              static_cast<unsigned long long>(counters.nodes_remembered),
              static_cast<unsigned long long>(counters.files_opened));
  const std::vector<PackUse> packs = need(collection->packs(control));
  std::vector<Id> going;
  std::uint64_t live = 0, listed = 0;
  for (const PackUse& pack : packs) {
    live += pack.live_chunks;
    listed += pack.chunks;
    // Some thousand packs whose chunks have to move, as a heavy prune leaves them.
    if (merges && (pack.live_chunks < pack.chunks || pack.id.bytes[0] < 16)) going.push_back(pack.id);
  }
  std::printf("  %zu packs: %llu of %llu chunks are live\n", packs.size(), static_cast<unsigned long long>(live),
              static_cast<unsigned long long>(listed));
  if (merges) {
    const CompactionResult compacted = need(collection->compact(going, control, counters));
    const std::vector<Id> needed = need(collection->still_needed(going, control));
    const MergeResult merged = need(collection->merge_segments(going, control, counters));
    std::printf("  compacted %zu packs into %zu, %zu still needed; %zu segments in place of %zu\n", going.size(),
                compacted.packs.size(), needed.size(), merged.added.size(), merged.replaced.size());
    const auto dir = place.repository();
    for (const Id& segment : merged.replaced) need(dir->remove(segment_name(segment)));
    for (const Id& pack : going) need(dir->remove(pack_name(pack)));
  }
  collection->close();
}

void verify(const Place& place) {
  CancelToken cancel;
  const VerifyReport report = need(verify_packs(*place.repository(), {}, {}, cancel));
  std::printf("  %llu packs, %llu segments, %llu chunks, %zu damages\n", static_cast<unsigned long long>(report.packs),
              static_cast<unsigned long long>(report.segments), static_cast<unsigned long long>(report.chunks),
              report.damages.size());
}

void step(const char* name, const std::function<void()>& work) {
  std::printf("%s\n", name);
  std::fflush(stdout);
  const auto begun = std::chrono::steady_clock::now();
  const pid_t child = ::fork();
  if (child == 0) {
    work();
    std::fflush(stdout);
    ::_exit(0);
  }
  int status = -1;
  rusage usage{};
  if (child < 0 || ::wait4(child, &status, 0, &usage) != child || status != 0) give_up("the step failed");
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
  const double cpu = static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                     static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
  std::printf("  %.1f s (%.1f s of processors), at most %.0f MiB resident\n", seconds, cpu,
              static_cast<double>(usage.ru_maxrss) / 1024);
}

int run(int argc, char** argv) {
  Place place{"", 200'000};
  for (int i = 1; i + 1 < argc; i += 2) {
    if (std::strcmp(argv[i], "--directory") == 0) place.directory = argv[i + 1];
    if (std::strcmp(argv[i], "--chunks") == 0) place.chunks = std::strtoull(argv[i + 1], nullptr, 10);
  }
  const bool is_temporary = place.directory.empty();
  if (is_temporary) {
    std::string pattern = std::filesystem::temp_directory_path() / "vzvault-bench-XXXXXX";
    if (::mkdtemp(pattern.data()) == nullptr) give_up("no temporary directory");
    place.directory = pattern;
  } else if (!std::filesystem::create_directory(place.directory)) {
    give_up(place.directory + " is there already");
  }
  std::filesystem::create_directory(place.directory + "/repository");
  step("generate", [&] { generate(place); });
  step("mark, nothing remembered", [&] { collect(place, Roots::kAll, false); });
  step("mark, nothing changed", [&] { collect(place, Roots::kAll, false); });
  step("verify without a key", [&] { verify(place); });
  step("mark, compact, merge, remove", [&] { collect(place, Roots::kPruned, true); });
  step("mark, after the merge", [&] { collect(place, Roots::kPruned, false); });
  step("verify without a key", [&] { verify(place); });
  if (is_temporary) std::filesystem::remove_all(place.directory);
  return 0;
}

}  // namespace
}  // namespace vzv

int main(int argc, char** argv) { return vzv::run(argc, argv); }
