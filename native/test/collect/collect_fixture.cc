#include "test/collect/collect_fixture.h"

#include "core/archive/stream_map.h"
#include "core/store/map_writer.h"
#include "core/store/segment_format.h"

namespace vzv::test {

TestChunk tiny_chunk(std::uint64_t seed) { return random_chunk(seed, 60); }

MapRoot CollectFixture::put_volume(std::uint64_t chunk_count, const VolumeChunks& chunks, ChunkWriterOptions options) {
  const VolumeGeometry geometry = must(VolumeGeometry::make(chunk_count * kVolumeChunkBytes, kVolumeChunkBytes));
  const auto writer = store.writer(std::move(options));
  MapWriter map(geometry, *writer, std::nullopt);
  for (const auto& [number, seed] : chunks) {
    const TestChunk made = chunk(seed);
    must(writer->put(ChunkType::kData, made.id, made.bytes));
    must(map.set(number, made.id));
  }
  MapRoot root;
  root.size_bytes = geometry.size_bytes;
  root.chunk_size_bytes = kVolumeChunkBytes;
  root.levels = geometry.levels();
  root.root = must(map.finish());
  must(writer->flush());
  return root;
}

MapRoot CollectFixture::put_stream(ChunkType type, const std::vector<std::uint64_t>& seeds,
                                   ChunkWriterOptions options) {
  const auto writer = store.writer(std::move(options));
  StreamWriter stream(*writer);
  for (const std::uint64_t seed : seeds) {
    const TestChunk made = chunk(seed);
    must(writer->put(type, made.id, made.bytes));
    must(stream.append(made.id, static_cast<std::uint32_t>(made.bytes.size())));
  }
  const StreamMap map = must(stream.finish());
  must(writer->flush());
  return {MapRoot::Kind::kStream, type, map.size_bytes, 0, map.levels, map.root};
}

std::unique_ptr<Collection> CollectFixture::collection() {
  return must(Collection::create(store.dir(), store.index(), {.session = std::string(32, 'c'), .keys = store.keys}));
}

Status CollectFixture::try_mark(Collection& collection, const std::vector<MapRoot>& roots) {
  return collection.mark(roots, control(), counters);
}

MarkCounters CollectFixture::mark(Collection& collection, const std::vector<MapRoot>& roots) {
  const auto now = [&] {
    return MarkCounters{counters.nodes_read, counters.nodes_remembered, counters.files_opened, counters.chunks_marked};
  };
  const MarkCounters before = now();
  must(try_mark(collection, roots));
  const MarkCounters after = now();
  return {after.nodes_read - before.nodes_read, after.nodes_remembered - before.nodes_remembered,
          after.files_opened - before.files_opened, after.chunks_marked - before.chunks_marked};
}

void CollectFixture::remove_segments(const std::vector<Id>& segments) {
  for (const Id& segment : segments) CHECK(must(store.dir()->remove(segment_name(segment))));
}

void CollectFixture::remove_packs(const std::vector<Id>& packs) {
  for (const Id& pack : packs) CHECK(must(store.dir()->remove(pack_name(pack))));
}

bool CollectFixture::readable(std::uint64_t seed, ChunkType type) {
  const TestChunk made = chunk(seed);
  const auto read = store.reader()->read(made.id, type, static_cast<std::uint32_t>(made.bytes.size()));
  return read.ok() && **read == made.bytes;
}

Id CollectFixture::pack_of(std::uint64_t seed, ChunkType type, const IdSet& excluded) {
  const auto place = store.index()->find(chunk(seed).id, type, excluded);
  REQUIRE(place);
  return place->pack;
}

Places listed_places(const Store& store) {
  Places places;
  for (const Id& segment : store.segments()) {
    const Bytes bytes = read_file(store.file(segment_name(segment)));
    const SegmentView view = must(SegmentView::parse(bytes));
    must(view.check_contents());
    for (std::uint64_t n = 0; n < view.entries(); ++n) {
      const auto entry = view.entry(n);
      REQUIRE(entry);
      places.insert({entry->key(), view.pack(entry->pack)});
    }
  }
  return places;
}

}  // namespace vzv::test
