// Salvaging a pack of which its disk cannot read a part any more.
#include <cerrno>
#include <filesystem>

#include "core/store/pack_reader.h"
#include "core/store/salvage.h"
#include "test/store/store_fixture.h"
#include "test/support/unreadable_ranges.h"

using namespace vzv;
using namespace vzv::test;

namespace {

struct Fixture {
  Fixture() {
    for (std::uint64_t n = 0; n < 5; ++n) chunks.push_back(random_chunk(n, 5000));
    store.put_all(chunks);
    pack = store.packs().at(0);
    path = store.file(pack_name(pack));
    table = must(must(PackReader::open(*store.dir(), pack))->table());
  }

  Result<SalvageResult> salvage() {
    const CancelToken cancel;
    const std::shared_ptr<Index> index = store.index();
    const auto writer = must(ChunkWriter::create(store.dir(), index, {.excluded = {pack}}));
    Result<SalvageResult> result = salvage_pack(store.dir(), index, nullptr, pack, *writer, nullptr, cancel);
    must(writer->flush());
    return result;
  }
  bool readable(std::size_t n) { return store.fresh_reader()->read(chunks.at(n).id, ChunkType::kData).ok(); }

  Store store;
  std::vector<TestChunk> chunks;
  Id pack;
  std::string path;
  std::vector<PackEntry> table;
  UnreadableRanges bad;
};

}  // namespace

TEST_CASE("what lies in a sector that is lost is lost, the rest is stored anew") {
  Fixture fixture;
  fixture.bad.add(fixture.path, fixture.table[1].offset + 100, 512, EIO);
  SUBCASE("by its table") {}
  SUBCASE("by the index, where the table is lost as well") {
    fixture.bad.add(fixture.path, fixture.table[4].offset + 5000, 52, EIO);
  }
  const SalvageResult result = must(fixture.salvage());
  CHECK(result.chunks == 4);
  CHECK(result.lost == 1);
  std::filesystem::remove(fixture.path);
  int left = 0;
  for (std::size_t n = 0; n < 5; ++n) left += fixture.readable(n) ? 1 : 0;
  CHECK(left == 4);
}

TEST_CASE("nothing is left of a pack whose header lies in a sector that is lost") {
  Fixture fixture;
  fixture.bad.add(fixture.path, 0, 48, EIO);
  CHECK(must(fixture.salvage()).lost == 5);
}

TEST_CASE("a chunk that the disk reads at the second attempt is not given up") {
  Fixture fixture;
  fixture.bad.add(fixture.path, fixture.table[1].offset, 512, EIO);
  fixture.bad.when([](std::uint64_t failures) { return failures < 1; });
  const SalvageResult result = must(fixture.salvage());
  CHECK(result.chunks == 5);
  CHECK(result.lost == 0);
}

TEST_CASE("nothing is given up while the storage is away") {
  Fixture fixture;
  std::uint64_t reads = 0;
  SUBCASE("from the beginning") { fixture.bad.add(fixture.path, 0, file_size(fixture.path), EIO); }
  SUBCASE("from the second chunk on") {
    fixture.bad.add(fixture.path, 0, file_size(fixture.path), EIO);
    fixture.bad.when([&](std::uint64_t) { return ++reads > 4; });  // header, trailer, table, a chunk
  }
  SUBCASE("for one chunk, by a handle that is stale") {
    fixture.bad.add(fixture.path, fixture.table[2].offset, 512, ESTALE);
  }
  CHECK(fixture.salvage().status().code() == Code::E_STORAGE_IO);
}
