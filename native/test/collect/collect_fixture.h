// A repository with maps of volumes and streams, and a collection of it.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "core/collect/collection.h"
#include "test/store/store_fixture.h"

namespace vzv::test {

// Which chunk (by the seed that it is made of) stands where. Numbers that are not named are zero.
using VolumeChunks = std::map<std::uint64_t, std::uint64_t>;

inline constexpr std::uint32_t kVolumeChunkBytes = 256 * 1024;
// Marking looks at no length of data, so that chunks may be tiny.
TestChunk tiny_chunk(std::uint64_t seed);

class CollectFixture {
 public:
  Store store;
  CancelToken cancel;
  CollectCounters counters;

  // The tiny chunk with the id that it has in this repository.
  TestChunk chunk(std::uint64_t seed) const { return sealed_chunk(store.keys, tiny_chunk(seed)); }

  // Writes the chunks and the map through a writer of its own, flushed.
  MapRoot put_volume(std::uint64_t chunk_count, const VolumeChunks& chunks, ChunkWriterOptions options = {});
  MapRoot put_stream(ChunkType type, const std::vector<std::uint64_t>& seeds, ChunkWriterOptions options = {});

  CollectControl control() const { return {cancel, {}}; }
  std::unique_ptr<Collection> collection();
  // Of one mark.
  MarkCounters mark(Collection& collection, const std::vector<MapRoot>& roots);
  Status try_mark(Collection& collection, const std::vector<MapRoot>& roots);
  std::vector<PackUse> packs(Collection& collection) { return must(collection.packs(control())); }

  // Removes them as a collector does: segments first.
  void remove_segments(const std::vector<Id>& segments);
  void remove_packs(const std::vector<Id>& packs);
  // Whether a fresh reader reads the chunk.
  bool readable(std::uint64_t seed, ChunkType type = ChunkType::kData);
  // The pack in which the index finds it. Where several have it, any that is not excluded.
  Id pack_of(std::uint64_t seed, ChunkType type = ChunkType::kData, const IdSet& excluded = {});
};

// Of what the segments in the repository list: chunk, type and pack.
using Places = std::set<std::pair<ChunkKey, Id>>;
Places listed_places(const Store& store);

}  // namespace vzv::test
