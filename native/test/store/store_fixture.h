// A repository's store in a scratch directory, and chunks to put into it.
#pragma once

#include <doctest/doctest.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/base/sha256.h"
#include "core/store/chunk_reader.h"
#include "core/store/chunk_writer.h"
#include "core/store/index.h"
#include "test/support/scratch.h"

namespace vzv::test {

struct TestChunk {
  Id id;
  Bytes bytes;
};

// Of bytes that do not compress; the same for the same seed.
TestChunk random_chunk(std::uint64_t seed, std::size_t length = 1000);
// Of bytes that compress well.
TestChunk plain_chunk(std::uint64_t seed, std::size_t length = 1000);

// Keys of a secret whose bytes all have this value.
RepositoryKeysPtr keys_of(std::uint8_t value);
// The chunk with the id that it has with these keys.
TestChunk sealed_chunk(const RepositoryKeysPtr& keys, TestChunk chunk);

// Fails the test where a Result is an error.
template <typename T>
T must(Result<T> result) {
  REQUIRE_MESSAGE(result.ok(), result.status().message());
  return std::move(result).value();
}
inline void must(const Status& status) { REQUIRE_MESSAGE(status.ok(), status.message()); }

class Store {
 public:
  // Below `path`, or in a scratch directory.
  Store();
  explicit Store(std::string path);

  // Of an encrypted repository: set before anything is written. Chunks are then sealed_chunk()s.
  RepositoryKeysPtr keys{};

  std::string file(const std::string& name) const { return path_ + "/repository/" + name; }
  const std::shared_ptr<RepositoryDir>& dir() const { return dir_; }

  // An index over what is there now, with the cache that earlier ones left.
  std::shared_ptr<Index> index() const;
  // The same without a cache.
  std::shared_ptr<Index> fresh_index();
  std::unique_ptr<ChunkWriter> writer(ChunkWriterOptions options = {}) const;
  // Over a new index, caching nothing unless told.
  std::unique_ptr<ChunkReader> reader(std::uint64_t cache_bytes = 0) const;
  std::unique_ptr<ChunkReader> fresh_reader();

  // Stores the chunks and flushes.
  void put_all(const std::vector<TestChunk>& chunks, ChunkType type = ChunkType::kData,
               ChunkWriterOptions options = {});
  std::vector<Id> packs() const;
  std::vector<Id> segments() const;
  std::string cache_path() const { return path_ + "/cache"; }
  // Names in tmp/.
  std::vector<std::string> unfinished() const;

 private:
  std::unique_ptr<ScratchDirectory> scratch_;
  std::string path_;
  std::shared_ptr<RepositoryDir> dir_;
};

// Calls `check` with every copy of `bytes` in which one byte is changed, and with every one that is cut shorter. `at`
// is the changed byte's position, or the length.
void for_each_damage(const Bytes& bytes,
                     const std::function<void(const Bytes& damaged, std::size_t at, bool cut)>& check);

}  // namespace vzv::test
