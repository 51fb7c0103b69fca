#include "core/collect/node_cache.h"

#include <sys/stat.h>

#include <algorithm>

#include "core/base/bytes.h"
#include "core/base/limits.h"
#include "core/base/sha256.h"

namespace vzv {

namespace {

constexpr std::string_view kMagic = "VZVNODES";
constexpr std::uint32_t kVersion = 1;
constexpr std::string_view kFileName = "nodes";
// Length below, offset above.
constexpr unsigned kLengthBits = 16;
constexpr std::uint64_t kOffsetMax = std::uint64_t{1} << (64 - kLengthBits);

std::uint64_t prefix_of(const Id& id) { return ByteReader(id.bytes).u64(); }

Bytes encode_table(const std::vector<NodePlace>& places) {
  Bytes bytes;
  bytes.reserve(places.size() * kNodePlaceBytes + kNodeFileTrailerBytes);
  ByteWriter writer(bytes);
  for (const NodePlace& place : places) {
    writer.u64(place.prefix);
    writer.u64(place.offset << kLengthBits | place.length);
  }
  return bytes;
}

bool before(const NodePlace& place, std::uint64_t prefix) { return place.prefix < prefix; }

}  // namespace

Bytes encode_node_file_header() {
  Bytes bytes;
  ByteWriter writer(bytes);
  writer.magic(kMagic);
  writer.u32(kVersion);
  writer.zeroes(4);
  return bytes;
}

Bytes encode_node_file_tail(const std::vector<NodePlace>& places) {
  Bytes bytes = encode_table(places);
  const Id digest = sha256(bytes);
  ByteWriter writer(bytes);
  writer.u64(places.size());
  writer.id(digest);
  writer.magic(kMagic);
  return bytes;
}

std::optional<std::uint64_t> decode_node_file_trailer(ByteSpan trailer, std::uint64_t file_bytes) {
  ByteReader reader(trailer);
  const std::uint64_t count = reader.u64();
  (void)reader.id();
  if (!reader.magic(kMagic) || reader.remaining() != 0 || count > limits::kRememberedNodesMax) return std::nullopt;
  if (kNodeFileHeaderBytes + kNodePlaceBytes * count + kNodeFileTrailerBytes > file_bytes) return std::nullopt;
  return count;
}

std::optional<std::vector<NodePlace>> decode_node_table(ByteSpan table, ByteSpan trailer, std::uint64_t file_bytes) {
  const std::optional<std::uint64_t> count = decode_node_file_trailer(trailer, file_bytes);
  if (!count || table.size() != *count * kNodePlaceBytes) return std::nullopt;
  if (sha256(table) != ByteReader(trailer.subspan(8)).id()) return std::nullopt;
  const std::uint64_t end = file_bytes - kNodeFileTrailerBytes - table.size();
  std::vector<NodePlace> places(*count);
  ByteReader reader(table);
  std::uint64_t previous = 0;
  for (NodePlace& place : places) {
    place.prefix = reader.u64();
    const std::uint64_t packed = reader.u64();
    place.offset = packed >> kLengthBits;
    place.length = static_cast<std::uint32_t>(packed & ((1U << kLengthBits) - 1));
    const bool inside =
        place.offset >= kNodeFileHeaderBytes && place.offset <= end && place.length <= end - place.offset;
    if (place.prefix < previous || !inside || place.length > limits::kMapNodeMaxBytes) return std::nullopt;
    previous = place.prefix;
  }
  return places;
}

NodeCache::NodeCache(std::shared_ptr<RepositoryDir> cache, RepositoryKeysPtr keys, std::uint64_t max_bytes)
    : cache_(std::move(cache)), keys_(std::move(keys)), max_bytes_(max_bytes) {
  load();
}

void NodeCache::load() {
  Result<UniqueFd> fd = cache_->open_read(kFileName);
  struct stat status;
  if (!fd.ok() || !fd->valid() || ::fstat(fd->get(), &status) != 0 || !S_ISREG(status.st_mode)) return;
  const auto file_bytes = static_cast<std::uint64_t>(status.st_size);
  if (file_bytes < kNodeFileHeaderBytes + kNodeFileTrailerBytes) return;
  Bytes header(kNodeFileHeaderBytes), trailer(kNodeFileTrailerBytes);
  if (read_exactly_at(fd->get(), 0, header) != 0 || header != encode_node_file_header()) return;
  if (read_exactly_at(fd->get(), file_bytes - trailer.size(), trailer) != 0) return;
  const std::optional<std::uint64_t> count = decode_node_file_trailer(trailer, file_bytes);
  if (!count) return;
  Bytes table(*count * kNodePlaceBytes);
  if (read_exactly_at(fd->get(), file_bytes - trailer.size() - table.size(), table) != 0) return;
  std::optional<std::vector<NodePlace>> places = decode_node_table(table, trailer, file_bytes);
  if (!places) return;
  places_ = std::move(*places);
  file_ = std::move(*fd);
}

std::optional<Bytes> NodeCache::read(const NodePlace& place) const {
  Bytes bytes(place.length);
  if (read_exactly_at(file_.get(), place.offset, bytes) != 0) return std::nullopt;
  return bytes;
}

std::optional<Bytes> NodeCache::find(const Id& id) const {
  const std::uint64_t prefix = prefix_of(id);
  for (auto place = std::lower_bound(places_.begin(), places_.end(), prefix, before);
       place != places_.end() && place->prefix == prefix; ++place) {
    std::optional<Bytes> bytes = read(*place);
    if (bytes && chunk_id(keys_.get(), *bytes) == id) return bytes;
  }
  return std::nullopt;
}

void NodeCache::keep(const Id& id, ByteSpan node) {
  const std::uint64_t prefix = prefix_of(id);
  std::lock_guard lock(mutex_);
  if (closed_ || is_fresh_.contains(prefix) || is_fresh_.size() >= limits::kRememberedNodesMax) return;
  if (fresh_ != nullptr && fresh_->bytes_written() + node.size() > max_bytes_) return;
  if (fresh_ == nullptr) {
    Result<std::unique_ptr<NewFile>> file = cache_->create();
    closed_ = !file.ok() || !(*file)->append(encode_node_file_header()).ok();
    if (closed_) return;
    fresh_ = std::move(*file);
  }
  const NodePlace place{prefix, fresh_->bytes_written(), static_cast<std::uint32_t>(node.size())};
  closed_ = place.offset >= kOffsetMax || !fresh_->append(node).ok();
  if (closed_) {
    fresh_ = nullptr;
  } else {
    is_fresh_.emplace(prefix, place);
  }
}

void NodeCache::publish(bool with_old) {
  if (with_old) {
    for (const NodePlace& place : places_) {
      const std::optional<Bytes> bytes = read(place);
      if (!bytes) continue;
      const Id id = chunk_id(keys_.get(), *bytes);
      if (prefix_of(id) == place.prefix) keep(id, *bytes);
    }
  }
  std::lock_guard lock(mutex_);
  if (closed_ || fresh_ == nullptr) return;
  closed_ = true;
  std::vector<NodePlace> places;
  places.reserve(is_fresh_.size());
  for (const auto& [prefix, place] : is_fresh_) places.push_back(place);
  std::sort(places.begin(), places.end(), [](const auto& a, const auto& b) { return a.prefix < b.prefix; });
  if (fresh_->append(encode_node_file_tail(places)).ok()) (void)fresh_->publish_cached(kFileName);
  fresh_ = nullptr;
}

}  // namespace vzv
