#include "test/store/store_fixture.h"

#include <filesystem>

namespace vzv::test {

namespace {

TestChunk chunk_of(Bytes bytes) {
  const Id id = sha256(bytes);
  return {id, std::move(bytes)};
}

}  // namespace

TestChunk random_chunk(std::uint64_t seed, std::size_t length) { return chunk_of(random_pattern(length, seed)); }

TestChunk plain_chunk(std::uint64_t seed, std::size_t length) {
  Bytes bytes(length, 'v');
  for (std::size_t i = 0; i < length && i < 8; ++i) bytes[i] = static_cast<std::uint8_t>(seed >> (8 * i));
  return chunk_of(std::move(bytes));
}

RepositoryKeysPtr keys_of(std::uint8_t value) { return RepositoryKeys::load(Bytes(SecretKey::kBytes, value)).value(); }

TestChunk sealed_chunk(const RepositoryKeysPtr& keys, TestChunk chunk) {
  chunk.id = chunk_id(keys.get(), chunk.bytes);
  return chunk;
}

Store::Store() : Store("") {}

Store::Store(std::string path) : path_(std::move(path)) {
  if (path_.empty()) {
    scratch_ = std::make_unique<ScratchDirectory>();
    path_ = scratch_->path();
  }
  std::filesystem::create_directories(path_ + "/repository");
  dir_ = must(RepositoryDir::open(path_ + "/repository"));
}

std::shared_ptr<Index> Store::index() const {
  return must(Index::open(dir_, cache_path(), known_suite_of(keys.get())));
}

std::shared_ptr<Index> Store::fresh_index() {
  std::filesystem::remove_all(cache_path());
  return index();
}

std::unique_ptr<ChunkWriter> Store::writer(ChunkWriterOptions options) const {
  options.keys = keys;
  return must(ChunkWriter::create(dir_, index(), options));
}

std::unique_ptr<ChunkReader> Store::reader(std::uint64_t cache_bytes) const {
  return std::make_unique<ChunkReader>(dir_, index(), cache_bytes, keys);
}

std::unique_ptr<ChunkReader> Store::fresh_reader() {
  return std::make_unique<ChunkReader>(dir_, fresh_index(), 0, keys);
}

void Store::put_all(const std::vector<TestChunk>& chunks, ChunkType type, ChunkWriterOptions options) {
  const auto chunk_writer = writer(options);
  for (const TestChunk& chunk : chunks) must(chunk_writer->put(type, chunk.id, chunk.bytes));
  must(chunk_writer->flush());
}

std::vector<Id> Store::packs() const {
  std::vector<Id> ids;
  const auto prefixes = must(dir_->list("packs"));
  if (!prefixes) return ids;
  for (const auto& prefix : *prefixes) {
    if (prefix.kind != FileKind::kDirectory) continue;
    const auto files = must(dir_->list("packs/" + prefix.name));
    for (const auto& file : *files) ids.push_back(*Id::from_hex(file.name));
  }
  return ids;
}

std::vector<Id> Store::segments() const {
  std::vector<Id> ids;
  const auto files = must(dir_->list("index"));
  if (!files) return ids;
  for (const auto& file : *files) ids.push_back(*Id::from_hex(file.name));
  return ids;
}

std::vector<std::string> Store::unfinished() const {
  std::vector<std::string> names;
  const auto files = must(dir_->list("tmp"));
  if (!files) return names;
  for (const auto& file : *files) names.push_back(file.name);
  return names;
}

void for_each_damage(const Bytes& bytes, const std::function<void(const Bytes&, std::size_t, bool)>& check) {
  Bytes damaged = bytes;
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    // One bit and all of them: the smallest error and the largest.
    for (const std::uint8_t mask : {std::uint8_t{0x01}, std::uint8_t{0xff}}) {
      damaged[at] = static_cast<std::uint8_t>(bytes[at] ^ mask);
      CAPTURE(at);
      CAPTURE(mask);
      check(damaged, at, false);
    }
    damaged[at] = bytes[at];
  }
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    CAPTURE(length);
    check(Bytes(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(length)), length, true);
  }
}

}  // namespace vzv::test
