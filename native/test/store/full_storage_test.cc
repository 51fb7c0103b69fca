// A storage that is full or read-only, on real small file systems: the right code, nothing half-written, and it goes on
// once there is room.
#include <filesystem>

#include "core/base/bytes.h"
#include "test/store/store_fixture.h"

using namespace vzv;
using namespace vzv::test;

namespace {

// A tmpfs of a few megabytes in a directory of its own.
struct SmallFileSystem {
  explicit SmallFileSystem(const std::string& size) : mount(arguments(size), scratch.path()) {}
  static std::vector<std::string> arguments(const std::string& size) {
    return {"-t", "tmpfs", "-o", "size=" + size, "tmpfs"};
  }

  ScratchDirectory scratch;
  Mount mount;
};

// The repository on the small file system, the index cache elsewhere.
struct SmallStore {
  explicit SmallStore(const std::string& size) : small(size), dir(must(RepositoryDir::open(small.scratch.path()))) {}
  std::shared_ptr<Index> index() { return must(Index::open(dir, cache.path() + "/cache")); }
  std::size_t unfinished() { return must(dir->list("tmp"))->size(); }

  SmallFileSystem small;
  ScratchDirectory cache;
  std::shared_ptr<RepositoryDir> dir;
};

}  // namespace

TEST_CASE("a backup to a storage that fills up is E_NO_SPACE, leaves nothing half-written, and later ones succeed") {
  SmallStore store("8m");
  const TestChunk early = random_chunk(1, 100'000);
  {
    const auto writer = must(ChunkWriter::create(store.dir, store.index()));
    must(writer->put(ChunkType::kData, early.id, early.bytes));
    must(writer->flush());
  }
  Status failed;
  std::uint64_t n = 100;
  {
    const auto writer = must(ChunkWriter::create(store.dir, store.index(), {.pack_target_bytes = 3'000'000}));
    while (failed.ok() && n < 200) {
      const TestChunk chunk = random_chunk(n++, 500'000);
      failed = writer->put(ChunkType::kData, chunk.id, chunk.bytes).status();
    }
    CHECK(failed.code() == Code::E_NO_SPACE);
    CHECK(failed.message().find("No space left on device") != std::string::npos);
    CHECK(writer->put(ChunkType::kData, early.id, early.bytes).status().code() == Code::E_NO_SPACE);  // it sticks
    CHECK(writer->flush().code() == Code::E_NO_SPACE);
  }
  CHECK(store.unfinished() == 0);

  // What was committed is there, and whole.
  ChunkReader reader(store.dir, store.index(), 0);
  CHECK(*must(reader.read(early.id, ChunkType::kData, 100'000)) == early.bytes);
  // Packs that were finished but never listed are in nobody's way.
  for (const Id& pack : store.index()->packs()) {
    const Bytes bytes = *must(store.dir->read(pack_name(pack), 8'000'000));
    CHECK(sha256(bytes) == pack);
    if (pack != store.index()->find(early.id, ChunkType::kData)->pack) must(store.dir->remove(pack_name(pack)));
  }
  const auto writer = must(ChunkWriter::create(store.dir, store.index()));
  const TestChunk late = random_chunk(2, 500'000);
  must(writer->put(ChunkType::kData, late.id, late.bytes));
  must(writer->flush());
}

TEST_CASE("at every amount of free space, a write is whole or E_NO_SPACE") {
  SmallStore store("256k");
  std::vector<TestChunk> stored;
  bool full = false;
  for (std::uint64_t n = 0; n < 100 && !full; ++n) {
    const auto writer = must(ChunkWriter::create(store.dir, store.index()));
    const TestChunk chunk = random_chunk(n, 5000);
    Status status = writer->put(ChunkType::kData, chunk.id, chunk.bytes).status();
    if (status.ok()) status = writer->flush();
    full = !status.ok();
    if (full) CHECK(status.code() == Code::E_NO_SPACE);
    if (!full) stored.push_back(chunk);
  }
  CHECK(full);
  CHECK(store.unfinished() == 0);
  CHECK(stored.size() > 3);
  ChunkReader reader(store.dir, store.index(), 0);
  for (const TestChunk& chunk : stored) CHECK(*must(reader.read(chunk.id, ChunkType::kData, 5000)) == chunk.bytes);
  CHECK(store.dir->put_if_absent("snapshots/x", Bytes(100'000)).code() == Code::E_NO_SPACE);
  CHECK(store.dir->replace("snapshots/x", Bytes(100'000)).code() == Code::E_NO_SPACE);
  CHECK_FALSE(must(store.dir->status("snapshots/x")));
}

TEST_CASE("a full disk below the index cache is E_NO_SPACE that names the cache") {
  Store store;
  std::vector<TestChunk> chunks;
  for (std::uint64_t n = 0; n < 500; ++n) chunks.push_back(random_chunk(n, 16));
  store.put_all(chunks);
  const SmallFileSystem small("16k");
  const Status status = Index::open(store.dir(), small.scratch / "cache").status();
  CHECK(status.code() == Code::E_NO_SPACE);
  CHECK(status.message().find(small.scratch.path()) != std::string::npos);
}

TEST_CASE("a read-only storage refuses writes with E_READ_ONLY, and yields what it has") {
  SmallFileSystem small("4m");
  const TestChunk chunk = random_chunk(1);
  ScratchDirectory cache;
  {
    const auto dir = must(RepositoryDir::open(small.scratch.path()));
    const auto writer = must(ChunkWriter::create(dir, must(Index::open(dir, cache / "cache"))));
    must(writer->put(ChunkType::kData, chunk.id, chunk.bytes));
    must(writer->flush());
    must(dir->put_if_absent("config", as_bytes("x")));
  }
  const ScratchDirectory view;
  const Mount bind({"--bind", small.scratch.path()}, view.path());
  const Mount read_only({"-o", "remount,ro,bind"}, view.path());

  const auto dir = must(RepositoryDir::open(view.path()));
  const auto index = must(Index::open(dir, cache / "cache"));
  ChunkReader reader(dir, index, 0);
  CHECK(*must(reader.read(chunk.id, ChunkType::kData, 1000)) == chunk.bytes);
  CHECK(dir->put_if_absent("new", as_bytes("x")).code() == Code::E_READ_ONLY);
  CHECK(dir->replace("config", as_bytes("y")).code() == Code::E_READ_ONLY);
  CHECK(dir->remove("config").status().code() == Code::E_READ_ONLY);
  CHECK(dir->make_directories("a/b").code() == Code::E_READ_ONLY);
  CHECK(dir->create().status().code() == Code::E_READ_ONLY);
  const auto writer = must(ChunkWriter::create(dir, index));
  CHECK(writer->put(ChunkType::kData, random_chunk(2).id, random_chunk(2).bytes).status().code() == Code::E_READ_ONLY);
  const auto other = must(ChunkWriter::create(dir, index));
  CHECK(must(other->put(ChunkType::kData, chunk.id, chunk.bytes)).put == Put::kReused);  // which writes nothing
}
