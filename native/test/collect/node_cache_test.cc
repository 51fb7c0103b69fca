#include "core/collect/node_cache.h"

#include <filesystem>

#include "test/collect/collect_fixture.h"

using namespace vzv;
using namespace vzv::test;

namespace {

struct Fixture {
  ScratchDirectory scratch;
  std::shared_ptr<RepositoryDir> dir = must(RepositoryDir::open(scratch.path()));
  std::string path = scratch / "nodes";

  NodeCache open() { return NodeCache(dir, nullptr); }
  void fill(std::uint64_t first, std::uint64_t count) {
    NodeCache cache = open();
    for (std::uint64_t n = first; n < first + count; ++n) cache.keep(tiny_chunk(n).id, tiny_chunk(n).bytes);
    cache.publish(false);
  }
  std::uint64_t known(std::uint64_t count) {
    const NodeCache cache = open();
    std::uint64_t found = 0;
    for (std::uint64_t n = 0; n < count; ++n) {
      const std::optional<Bytes> bytes = cache.find(tiny_chunk(n).id);
      if (bytes) CHECK(*bytes == tiny_chunk(n).bytes);
      if (bytes) ++found;
    }
    return found;
  }
};

}  // namespace

TEST_CASE("keeps no more than it may, and serves what it has") {
  Fixture fixture;
  {
    NodeCache cache(fixture.dir, nullptr, 5 * tiny_chunk(0).bytes.size() + kNodeFileHeaderBytes);
    for (std::uint64_t n = 0; n < 100; ++n) cache.keep(tiny_chunk(n).id, tiny_chunk(n).bytes);
    cache.publish(false);
  }
  CHECK(fixture.known(100) == 5);
}

TEST_CASE("keeps nodes for the next collection, and only those of the last") {
  Fixture fixture;
  CHECK(fixture.known(100) == 0);
  fixture.fill(0, 50);
  CHECK(fixture.known(100) == 50);
  fixture.fill(40, 20);
  CHECK(fixture.known(100) == 20);
  // Not published: nothing changes, nothing stays.
  {
    NodeCache cache = fixture.open();
    cache.keep(tiny_chunk(90).id, tiny_chunk(90).bytes);
  }
  CHECK(fixture.known(100) == 20);
  CHECK(must(fixture.dir->list("tmp"))->empty());
  // An unfinished walk loses nothing.
  {
    NodeCache cache = fixture.open();
    cache.keep(tiny_chunk(40).id, tiny_chunk(40).bytes);
    cache.keep(tiny_chunk(90).id, tiny_chunk(90).bytes);
    cache.publish(true);
  }
  CHECK(fixture.known(100) == 21);
}

TEST_CASE("a damaged file costs nodes, never gives wrong ones") {
  Fixture fixture;
  fixture.fill(0, 4);
  const Bytes whole = read_file(fixture.path);
  for_each_damage(whole, [&](const Bytes& damaged, std::size_t, bool) {
    write_file(fixture.path, damaged);
    CHECK(fixture.known(4) < 4);
  });
  write_file(fixture.path, Bytes(3 * whole.size(), 0xff));
  CHECK(fixture.known(4) == 0);
  std::filesystem::remove(fixture.path);
  std::filesystem::create_directory(fixture.path);
  CHECK(fixture.known(4) == 0);
}

TEST_CASE("nodes of an encrypted repository are known by its key, those of another are not believed") {
  Fixture fixture;
  const auto keys = must(RepositoryKeys::load(Bytes(32, 1)));
  const auto others = must(RepositoryKeys::load(Bytes(32, 2)));
  const Bytes node = tiny_chunk(1).bytes;
  {
    NodeCache cache(fixture.dir, keys);
    cache.keep(keys->chunk_id(node), node);
    cache.publish(false);
  }
  CHECK(NodeCache(fixture.dir, keys).find(keys->chunk_id(node)) == node);
  CHECK_FALSE(NodeCache(fixture.dir, others).find(keys->chunk_id(node)));
  CHECK_FALSE(NodeCache(fixture.dir, others).find(others->chunk_id(node)));
}

TEST_CASE("a directory that takes no file keeps nothing and fails nothing") {
  Fixture fixture;
  write_file(fixture.scratch / "tmp", Bytes{1});
  fixture.fill(0, 4);
  CHECK(fixture.known(4) == 0);
}
