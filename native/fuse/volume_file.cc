#include "fuse/volume_file.h"

#include <algorithm>
#include <utility>

#include "core/store/map_node.h"

namespace vzv::fuse {
namespace {

// Paths through the map that an estimate follows: at most 1 + 4 · (levels - 1) nodes are read.
constexpr std::size_t kSampledPaths = 4;

}  // namespace

VolumeFile::VolumeFile(std::string path, const VolumeGeometry& geometry, const Id& root, ChunkReader& chunks)
    : path_(std::move(path)), geometry_(geometry), root_(root), chunks_(chunks), reader_(geometry, root, chunks) {}

Status VolumeFile::read(std::uint64_t offset, std::span<std::uint8_t> buffer) { return reader_.read(offset, buffer); }

Result<std::uint64_t> VolumeFile::seek_data(std::uint64_t offset) { return reader_.seek_data(offset); }

Result<std::uint64_t> VolumeFile::seek_hole(std::uint64_t offset) { return reader_.seek_hole(offset); }

Result<std::uint64_t> VolumeFile::next_data_chunk(std::uint64_t chunk_number) {
  if (chunk_number >= geometry_.chunk_count()) return geometry_.chunk_count();
  return reader_.map().next_data(chunk_number);
}

void VolumeFile::prefetch(std::uint64_t chunk_number) {
  const Result<Id> id = reader_.map().chunk(chunk_number);
  if (!id.ok() || id->is_zero()) return;
  static_cast<void>(chunks_.read(*id, ChunkType::kData, geometry_.chunk_length(chunk_number)).ok());
}

std::uint64_t VolumeFile::allocated_bytes() {
  const std::lock_guard lock(mutex_);
  if (!allocated_bytes_) allocated_bytes_ = estimate_allocated_bytes();
  return *allocated_bytes_;
}

Result<std::vector<Id>> VolumeFile::map_children(const Id& node, unsigned level, std::uint64_t first_chunk) {
  const std::uint32_t children = map_node_children(geometry_.chunk_count(), level, first_chunk);
  const Result<ChunkReader::Chunk> bytes = chunks_.read(node, ChunkType::kMapNode, map_node_bytes(children));
  if (!bytes.ok()) return bytes.status();
  return decode_map_node(**bytes, level, children);
}

// Of a map that is one leaf: exact.
Result<std::uint64_t> VolumeFile::leaf_allocated_bytes() {
  const Result<std::vector<Id>> children = map_children(root_, 0, 0);
  if (!children.ok()) return children.status();
  std::uint64_t bytes = 0;
  for (std::size_t i = 0; i < children->size(); ++i) {
    if (!(*children)[i].is_zero()) bytes += geometry_.chunk_length(i);
  }
  return bytes;
}

// Each path begins at another of the root's children with data and goes down to a leaf; the share of children with data
// in each node that it passes, multiplied, is its guess at the share of chunks with data.
std::uint64_t VolumeFile::estimate_allocated_bytes() {
  if (root_.is_zero()) return 0;
  if (geometry_.levels() == 1) {
    const Result<std::uint64_t> bytes = leaf_allocated_bytes();
    return bytes.ok() ? *bytes : geometry_.size_bytes;
  }
  double sum = 0;
  for (std::size_t path = 0; path < kSampledPaths; ++path) {
    double density = 1;
    Id node = root_;
    std::uint64_t first_chunk = 0;
    for (unsigned level = geometry_.levels(); level-- > 0;) {
      const Result<std::vector<Id>> children = map_children(node, level, first_chunk);
      if (!children.ok()) return geometry_.size_bytes;
      std::vector<std::size_t> data;
      for (std::size_t i = 0; i < children->size(); ++i) {
        if (!(*children)[i].is_zero()) data.push_back(i);
      }
      // A stored node has data: decode_map_node() and the id prove the bytes, not that; so ask.
      if (data.empty()) return geometry_.size_bytes;
      density *= static_cast<double>(data.size()) / static_cast<double>(children->size());
      const std::size_t taken = data[data.size() * path / kSampledPaths];
      node = (*children)[taken];
      first_chunk += taken * map_child_chunks(level);
    }
    sum += density;
  }
  const auto estimate = static_cast<std::uint64_t>(static_cast<double>(geometry_.size_bytes) * (sum / kSampledPaths));
  return std::min(estimate, geometry_.size_bytes);
}

}  // namespace vzv::fuse
