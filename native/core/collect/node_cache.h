// Map nodes that earlier collections read, in one file of the local cache directory, so that a collection reads only
// those that are new from the repository.
//
// The file `nodes`: header ‖ nodes, one behind the other ‖ table (for each node the first eight bytes of its id, its
// offset and its length) ‖ trailer. What is read from it is believed only where it has the id that is asked for, so a
// file that is damaged, or another repository's, costs time and nothing else. A new file takes the place of the old one
// when it is published; it holds what was kept since.
//
// Memory: 24 bytes a node of the old file, 40 while it is opened, some 40 a node of the new one. On the disk at most
// twice kNodeCacheMaxBytes; nodes beyond that are not kept. find() and keep() are thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <vector>

#include "core/base/limits.h"
#include "core/store/repository_dir.h"
#include "core/store/repository_keys.h"

namespace vzv {

struct NodePlace {
  std::uint64_t prefix;  // the first bytes of the id
  std::uint64_t offset;
  std::uint32_t length;

  bool operator==(const NodePlace&) const = default;
};

inline constexpr std::uint32_t kNodeFileHeaderBytes = 16;
inline constexpr std::uint32_t kNodePlaceBytes = 16;
inline constexpr std::uint32_t kNodeFileTrailerBytes = 48;

Bytes encode_node_file_header();
// Table and trailer. REQUIRES: ascending by prefix.
Bytes encode_node_file_tail(const std::vector<NodePlace>& places);
// The number of places that the trailer (the last bytes of a file of this size) announces; nullopt where it is none, or
// the file has no room for them.
std::optional<std::uint64_t> decode_node_file_trailer(ByteSpan trailer, std::uint64_t file_bytes);
// nullopt where the table is not the one that the trailer vouches for, or names places that a file of this size cannot
// have.
std::optional<std::vector<NodePlace>> decode_node_table(ByteSpan table, ByteSpan trailer, std::uint64_t file_bytes);

class NodeCache {
 public:
  // An old file that cannot be read counts as absent. `keys` are the repository's, null where it is not encrypted.
  NodeCache(std::shared_ptr<RepositoryDir> cache, RepositoryKeysPtr keys,
            std::uint64_t max_bytes = limits::kNodeCacheMaxBytes);

  // The bytes that have this id; nullopt where the old file does not have them.
  std::optional<Bytes> find(const Id& id) const;
  // For the new file. Where it cannot be written, nothing is kept any more.
  void keep(const Id& id, ByteSpan node);
  // Puts the new file in place of the old one. With `with_old`, all that is in the old one is kept too: where not all
  // of the maps were walked, what was not seen may be needed yet. Nothing is kept afterwards.
  void publish(bool with_old);

 private:
  void load();
  std::optional<Bytes> read(const NodePlace& place) const;

  const std::shared_ptr<RepositoryDir> cache_;
  const RepositoryKeysPtr keys_;
  const std::uint64_t max_bytes_;  // of nodes in the new file
  UniqueFd file_;                  // the old one
  std::vector<NodePlace> places_;  // of the old one, ascending

  std::mutex mutex_;
  std::unique_ptr<NewFile> fresh_;                         // GUARDED BY mutex_; null where there is none, or no more
  bool closed_ = false;                                    // GUARDED BY mutex_
  std::unordered_map<std::uint64_t, NodePlace> is_fresh_;  // GUARDED BY mutex_; by prefix
};

}  // namespace vzv
