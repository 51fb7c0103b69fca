// Salvaging damaged packs, making the index anew, and moving files out of the way.
#include <algorithm>
#include <filesystem>
#include <utility>

#include "core/store/index_rebuild.h"
#include "core/store/salvage.h"
#include "test/store/store_fixture.h"

using namespace vzv;
using namespace vzv::test;

namespace {

void flip(const std::string& path, std::int64_t at) {
  Bytes bytes = read_file(path);
  const auto size = static_cast<std::int64_t>(bytes.size());
  bytes[static_cast<std::size_t>(at < 0 ? size + at : at)] ^= 0x40;
  write_file(path, bytes);
}

SalvageResult salvage(const Store& store, const Id& pack) {
  const CancelToken cancel;
  const std::shared_ptr<Index> index = store.index();
  const auto writer =
      must(ChunkWriter::create(store.dir(), index, {.keys = store.keys, .session = "salvage", .excluded = {pack}}));
  const SalvageResult result = must(salvage_pack(store.dir(), index, store.keys, pack, *writer, nullptr, cancel));
  must(writer->flush());
  return result;
}

RebuildResult rebuild(const Store& store, Suite suite = Suite::kNone) {
  const CancelToken cancel;
  return must(rebuild_index(*store.dir(), *store.index(), suite, nullptr, cancel));
}

bool readable(Store& store, const TestChunk& chunk) {
  return store.fresh_reader()->read(chunk.id, ChunkType::kData).ok();
}

}  // namespace

TEST_CASE("what is left of a damaged pack is stored anew") {
  Store store;
  SUBCASE("not encrypted") {}
  SUBCASE("encrypted") { store.keys = keys_of(3); }
  std::vector<TestChunk> chunks;
  for (std::uint64_t n = 0; n < 5; ++n) chunks.push_back(sealed_chunk(store.keys, random_chunk(n)));
  store.put_all(chunks);
  const Id pack = store.packs()[0];
  const std::string path = store.file(pack_name(pack));
  flip(path, 48 + 10);  // in the first chunk
  SUBCASE("by its table") {}
  SUBCASE("by the index, where the table is damaged") { flip(path, -70); }
  const SalvageResult result = salvage(store, pack);
  CHECK(result.chunks == 4);
  CHECK(result.lost == 1);
  std::filesystem::remove(path);
  CHECK_FALSE(readable(store, chunks[0]));
  for (std::size_t n = 1; n < 5; ++n) CHECK(readable(store, chunks[n]));
  CHECK(store.unfinished().empty());
}

TEST_CASE("nothing is left of a pack whose header is damaged, and a key is asked for where one is needed") {
  Store store;
  store.keys = keys_of(3);
  store.put_all({sealed_chunk(store.keys, random_chunk(1))});
  const Id pack = store.packs()[0];
  const CancelToken cancel;
  const std::shared_ptr<Index> index = store.index();
  const auto writer = store.writer({.excluded = {pack}});
  CHECK(salvage_pack(store.dir(), index, nullptr, pack, *writer, nullptr, cancel).status().code() ==
        Code::E_KEY_MISSING);
  flip(store.file(pack_name(pack)), 1);
  const SalvageResult result = salvage(store, pack);
  CHECK(result.chunks == 0);
  CHECK(result.lost == 1);
}

TEST_CASE("a chunk that another pack has is not stored once more") {
  Store store;
  store.put_all({random_chunk(1), random_chunk(2)});
  const Id first = store.packs()[0];
  // The same chunks, in a second pack.
  const auto writer = store.writer({.excluded = {first}});
  must(writer->put(ChunkType::kData, random_chunk(1).id, random_chunk(1).bytes));
  must(writer->flush());
  const std::size_t before = store.packs().size();
  CHECK(before == 2);
  CHECK(salvage(store, first).chunks == 2);
  CHECK(store.packs().size() == before + 1);  // with the second chunk alone
  std::filesystem::remove(store.file(pack_name(first)));
  CHECK(readable(store, random_chunk(1)));
  CHECK(readable(store, random_chunk(2)));
}

TEST_CASE("what a damaged pack has lost is taken from another pack that has it") {
  Store store;
  SUBCASE("not encrypted") {}
  SUBCASE("encrypted") { store.keys = keys_of(3); }
  const TestChunk one = sealed_chunk(store.keys, random_chunk(1));
  const TestChunk two = sealed_chunk(store.keys, random_chunk(2));
  store.put_all({one, two});
  const Id first = store.packs()[0];
  const auto writer = store.writer({.excluded = {first}});
  must(writer->put(ChunkType::kData, one.id, one.bytes));
  must(writer->flush());
  const std::vector<Id> both = store.packs();
  REQUIRE(both.size() == 2);
  const Id second = both[0] == first ? both[1] : both[0];
  std::uint64_t lost = 0;
  SUBCASE("a chunk of it") { flip(store.file(pack_name(first)), 48 + 10); }
  SUBCASE("all of it") {
    flip(store.file(pack_name(first)), 1);
    lost = 1;
  }
  const CancelToken cancel;
  const std::shared_ptr<Index> index = store.index();
  const auto mending = store.writer({.excluded = both});
  const SalvageResult result = must(salvage_pack(store.dir(), index, store.keys, first, *mending, nullptr, cancel));
  must(mending->flush());
  CHECK(result.chunks == 2 - lost);
  CHECK(result.lost == lost);
  std::filesystem::remove(store.file(pack_name(first)));
  std::filesystem::remove(store.file(pack_name(second)));
  CHECK(readable(store, one));
  CHECK(readable(store, two) == (lost == 0));
}

TEST_CASE("an index that is gone is made anew from the packs' tables, without a key") {
  Store store;
  Suite suite = Suite::kNone;
  SUBCASE("not encrypted") {}
  SUBCASE("encrypted") {
    store.keys = keys_of(3);
    suite = Suite::kAes256Gcm;
  }
  const TestChunk one = sealed_chunk(store.keys, random_chunk(1));
  const TestChunk two = sealed_chunk(store.keys, random_chunk(2));
  store.put_all({one});
  store.put_all({two});
  for (const Id& segment : store.segments()) std::filesystem::remove(store.file(segment_name(segment)));
  CHECK_FALSE(readable(store, one));
  const RepositoryKeysPtr keys = std::exchange(store.keys, nullptr);
  const RebuildResult result = rebuild(store, suite);
  store.keys = keys;
  CHECK(result.packs == 2);
  CHECK(result.chunks == 2);
  CHECK(result.added.size() == 1);
  CHECK(result.replaced.empty());
  CHECK(readable(store, one));
  CHECK(readable(store, two));
}

TEST_CASE("of the old segments those go that are damaged or not needed any more") {
  Store store;
  store.put_all({random_chunk(1)});
  const Id kept_pack = store.packs()[0];
  const Id old_segment = store.segments()[0];
  store.put_all({random_chunk(2)});
  store.put_all({random_chunk(3)});
  std::vector<Id> later = store.segments();
  std::erase(later, old_segment);
  SUBCASE("damaged ones too") {
    flip(store.file(segment_name(later[0])), 80);
    std::filesystem::remove_all(store.cache_path());
  }
  SUBCASE("and those of packs that are gone") {
    std::filesystem::remove(store.file(pack_name(store.packs()[0] == kept_pack ? store.packs()[1] : store.packs()[0])));
  }
  SUBCASE("but none that lists a pack whose own table is damaged") {
    flip(store.file(pack_name(kept_pack)), -70);
    const RebuildResult result = rebuild(store);
    CHECK(result.packs == 2);
    REQUIRE(result.damages.size() == 1);
    CHECK(result.damages[0].code() == Code::E_PACK_DAMAGED);
    CHECK(result.replaced.size() == 2);
    CHECK(std::find(result.replaced.begin(), result.replaced.end(), old_segment) == result.replaced.end());
    CHECK(readable(store, random_chunk(1)));
    return;
  }
  CHECK(rebuild(store).replaced.size() == 3);
}

TEST_CASE("packs of another suite are named and not listed") {
  Store store;
  store.put_all({random_chunk(1)});
  const RebuildResult result = rebuild(store, Suite::kAes256Gcm);
  CHECK(result.packs == 0);
  REQUIRE(result.damages.size() == 1);
  CHECK(result.damages[0].code() == Code::E_SUITE_MISMATCH);
}

TEST_CASE("a file is moved into a new directory, never over another") {
  const Store store;
  RepositoryDir& dir = *store.dir();
  must(dir.put_if_absent("packs/a", Bytes{1}));
  must(dir.put_if_absent("packs/b", Bytes{2}));
  CHECK(must(dir.move("packs/a", "quarantine/a")));
  CHECK_FALSE(must(dir.move("packs/a", "quarantine/a")));
  CHECK(dir.move("packs/b", "quarantine/a").status().code() == Code::E_NAME_TAKEN);
  CHECK(must(dir.read("quarantine/a", 10)) == Bytes{1});
  CHECK(must(dir.read("packs/b", 10)) == Bytes{2});
  CHECK(dir.move("../a", "b").status().code() == Code::E_ARGUMENT_INVALID);
}
