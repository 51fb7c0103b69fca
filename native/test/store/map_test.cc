// Maps against a model: a plain list of chunk ids.
#include <map>
#include <random>
#include <set>

#include "core/store/map_reader.h"
#include "core/store/map_writer.h"
#include "test/store/store_fixture.h"

using namespace vzv;
using namespace vzv::test;

namespace {

// Chunk number → id; what is not in it is zero. The chunks themselves are not needed: a map only lists ids.
using Model = std::map<std::uint64_t, Id>;

constexpr std::uint32_t kChunkBytes = 262'144;

VolumeGeometry geometry_of(std::uint64_t chunks) {
  return must(VolumeGeometry::make(chunks * kChunkBytes, kChunkBytes));
}

Id id_of(std::uint64_t n) { return random_chunk(n, 16).id; }

// Writes the changes over a base, or over nothing.
Id write_map(const Store& store, VolumeGeometry geometry, const Model& changes, std::optional<Id> base = std::nullopt) {
  const auto writer = store.writer();
  const auto reader = store.reader(1 << 20);
  MapWriter map(geometry, *writer, base ? std::optional(MapWriter::Base{*base, *reader}) : std::nullopt);
  for (const auto& [number, id] : changes) must(map.set(number, id));
  const Id root = must(map.finish());
  must(writer->flush());
  return root;
}

void check_map(const Store& store, VolumeGeometry geometry, const Id& root, const Model& model) {
  const auto reader = store.reader(1 << 20);
  MapReader map(geometry, root, *reader);
  const std::uint64_t count = geometry.chunk_count();
  const auto expected = [&](std::uint64_t n) {
    const auto found = model.find(n);
    return found == model.end() ? Id{} : found->second;
  };
  // All that the model names, their neighbours, and the edges.
  std::set<std::uint64_t> numbers{0, count - 1};
  for (const auto& [n, id] : model) {
    numbers.insert(n);
    if (n > 0) numbers.insert(n - 1);
    if (n + 1 < count) numbers.insert(n + 1);
  }
  for (const std::uint64_t n : numbers) {
    CAPTURE(n);
    REQUIRE(must(map.chunk(n)) == expected(n));
    auto data = model.lower_bound(n);
    while (data != model.end() && data->second.is_zero()) ++data;
    REQUIRE(must(map.next_data(n)) == (data == model.end() ? count : data->first));
    std::uint64_t zero = n;
    while (zero < count && !expected(zero).is_zero()) ++zero;
    REQUIRE(must(map.next_zero(n)) == zero);
  }
  CHECK(must(map.next_data(count)) == count);
  CHECK(map.chunk(count).status().code() == Code::E_ARGUMENT_INVALID);
}

}  // namespace

TEST_CASE("a map of nothing is the zero sentinel") {
  const Store store;
  CHECK(write_map(store, must(VolumeGeometry::make(0, kChunkBytes)), {}).is_zero());
  CHECK(write_map(store, geometry_of(1000), {}).is_zero());
  CHECK(write_map(store, geometry_of(1000), {{3, Id{}}, {999, Id{}}}).is_zero());
  CHECK(store.packs().empty());
  check_map(store, geometry_of(1000), Id{}, {});
}

TEST_CASE("an empty volume has no chunk and no data") {
  const Store store;
  const auto reader = store.reader();
  MapReader map(must(VolumeGeometry::make(0, kChunkBytes)), Id{}, *reader);
  CHECK(must(map.next_data(0)) == 0);
  CHECK(must(map.next_zero(0)) == 0);
  CHECK(map.chunk(0).status().code() == Code::E_ARGUMENT_INVALID);
}

TEST_CASE("maps of every height hold what was set, at the edges of their nodes too") {
  for (const std::uint64_t chunks :
       {1ULL, 2ULL, 255ULL, 256ULL, 257ULL, 65'535ULL, 65'536ULL, 65'537ULL, 16'777'217ULL, 1ULL << 40}) {
    CAPTURE(chunks);
    const Store store;
    Model model;
    for (const std::uint64_t edge :
         std::initializer_list<std::uint64_t>{0, 1, 255, 256, 65'535, 65'536, 16'777'216, chunks - 1}) {
      if (edge < chunks) model[edge] = id_of(edge);
    }
    const Id root = write_map(store, geometry_of(chunks), model);
    check_map(store, geometry_of(chunks), root, model);
  }
}

TEST_CASE("a full small map holds every id") {
  const Store store;
  Model model;
  for (std::uint64_t n = 0; n < 700; ++n) model[n] = id_of(n);
  check_map(store, geometry_of(700), write_map(store, geometry_of(700), model), model);
}

TEST_CASE("the same contents have the same root, however they came about") {
  const Store store;
  const Model first{{5, id_of(5)}, {300, id_of(300)}}, second{{5, id_of(6)}, {70'000, id_of(7)}};
  Model both = first;
  for (const auto& [n, id] : second) both[n] = id;
  const Id base = write_map(store, geometry_of(100'000), first);
  CHECK(write_map(store, geometry_of(100'000), second, base) == write_map(store, geometry_of(100'000), both));
}

TEST_CASE("a map on a base keeps what is not set, and costs what changed") {
  const Store store;
  constexpr std::uint64_t kChunks = 131'072;  // 32 GiB in chunks of 256 KiB
  Model model;
  for (std::uint64_t n = 0; n < kChunks; n += 16) model[n] = id_of(n);
  const Id base = write_map(store, geometry_of(kChunks), model);
  CHECK(write_map(store, geometry_of(kChunks), {}, base) == base);
  CHECK(write_map(store, geometry_of(kChunks), {{16, id_of(16)}}, base) == base);

  const auto writer = store.writer();
  const auto reader = store.reader(0);
  MapWriter map(geometry_of(kChunks), *writer, MapWriter::Base{base, *reader});
  must(map.set(17, id_of(1)));
  must(map.set(90'000, id_of(2)));
  model[17] = id_of(1);
  model[90'000] = id_of(2);
  const Id root = must(map.finish());
  must(writer->flush());
  check_map(store, geometry_of(kChunks), root, model);
  CHECK(reader->counters().chunks_read == 5);  // the root, and an inner node and a leaf for each
  CHECK(writer->added_bytes() < 70'000);       // as many nodes of 8 KiB, their table and their segment
}

TEST_CASE("zeroing all that a base had gives the zero sentinel") {
  const Store store;
  const Model model{{0, id_of(1)}, {999, id_of(2)}};
  const Id base = write_map(store, geometry_of(1000), model);
  CHECK(write_map(store, geometry_of(1000), {{0, Id{}}, {999, Id{}}}, base).is_zero());
}

TEST_CASE("a run that becomes zero drops whole subtrees unread, at any edges") {
  const Store store;
  constexpr std::uint64_t kChunks = 131'072 + 77;
  Model model;
  for (std::uint64_t n = 0; n < kChunks; n += 16) model[n] = id_of(n);
  model[kChunks - 1] = id_of(1);
  const Id base = write_map(store, geometry_of(kChunks), model);
  struct Run {
    std::uint64_t first, count;
    std::uint64_t nodes_read;  // at most
  };
  for (const Run& run : {Run{0, kChunks, 1}, Run{0, 65'536, 1}, Run{65'536, kChunks - 65'536, 1}, Run{256, 256, 2},
                         Run{100, 80'000, 5}, Run{1, kChunks - 2, 7}, Run{kChunks - 1, 1, 3}, Run{300, 1, 3}}) {
    CAPTURE(run.first);
    CAPTURE(run.count);
    const auto writer = store.writer();
    const auto reader = store.reader(0);
    MapWriter map(geometry_of(kChunks), *writer, MapWriter::Base{base, *reader});
    Model expected = model;
    if (run.first > 0) {
      must(map.set(run.first - 1, id_of(5)));
      expected[run.first - 1] = id_of(5);
    }
    must(map.set_zero(run.first, run.count));
    expected.erase(expected.lower_bound(run.first), expected.lower_bound(run.first + run.count));
    if (run.first + run.count < kChunks) {
      must(map.set(run.first + run.count, id_of(6)));
      expected[run.first + run.count] = id_of(6);
    }
    const Id root = must(map.finish());
    must(writer->flush());
    // The neighbours that are set may need two nodes each of their own.
    CHECK(reader->counters().chunks_read <= run.nodes_read + 4);
    check_map(store, geometry_of(kChunks), root, expected);
    CHECK(root == write_map(store, geometry_of(kChunks), expected));
  }
}

TEST_CASE("a run of zeroes without a base costs nothing, and one out of order is refused") {
  const Store store;
  const auto writer = store.writer();
  MapWriter map(geometry_of(1ULL << 40), *writer);
  must(map.set_zero(0, (1ULL << 40) - 1));
  CHECK(map.set_zero(5, 1).code() == Code::E_INTERNAL);
  CHECK(map.set_zero((1ULL << 40) - 1, 2).code() == Code::E_INTERNAL);
  CHECK(map.set_zero((1ULL << 40) + 1, 0).code() == Code::E_INTERNAL);
  must(map.set((1ULL << 40) - 1, id_of(1)));
  CHECK_FALSE(must(map.finish()).is_zero());
}

TEST_CASE("chunks out of order are refused") {
  const Store store;
  const auto writer = store.writer();
  MapWriter map(geometry_of(10), *writer);
  must(map.set(5, id_of(1)));
  CHECK(map.set(5, id_of(1)).code() == Code::E_INTERNAL);
  CHECK(map.set(4, id_of(1)).code() == Code::E_INTERNAL);
  CHECK(map.set(10, id_of(1)).code() == Code::E_INTERNAL);
  must(map.finish());
  CHECK(map.set(9, id_of(1)).code() == Code::E_INTERNAL);
}

TEST_CASE("random generations of maps agree with the model") {
  const std::uint64_t seed = std::random_device{}();
  MESSAGE("seed " << seed);
  std::mt19937_64 random(seed);
  for (const std::uint64_t chunks : {200ULL, 5'000ULL, 200'000ULL}) {
    const Store store;
    Model model;
    Id root;
    for (int generation = 0; generation < 6; ++generation) {
      Model changes;
      for (int i = 0; i < 40; ++i) {
        // In clusters, as guests write; a third of them become zero.
        std::uint64_t n = random() % chunks;
        for (std::uint64_t run = random() % 20; run > 0 && n < chunks; --run, ++n) {
          changes[n] = random() % 3 == 0 ? Id{} : id_of(random());
        }
      }
      root = write_map(store, geometry_of(chunks), changes, root);
      for (const auto& [n, id] : changes) model[n] = id;
      check_map(store, geometry_of(chunks), root, model);
    }
  }
}
