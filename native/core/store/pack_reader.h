// Reads one pack that is in the repository: its table, and chunks at the places that the index or the table names.
//
// Thread-safe: reads are positioned, nothing changes after open().
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "core/store/pack_format.h"
#include "core/store/repository_dir.h"
#include "core/store/seal.h"

namespace vzv {

class PackReader {
 public:
  // E_PACK_MISSING where there is no such pack; E_PACK_DAMAGED where its size or header cannot be one's;
  // E_SUITE_UNKNOWN. `keys` are the repository's, null where it is not encrypted; without them the table of an
  // encrypted pack can be read all the same.
  static Result<std::shared_ptr<PackReader>> open(RepositoryDir& dir, const Id& pack, RepositoryKeysPtr keys = nullptr);

  const Id& id() const { return id_; }
  std::uint64_t file_bytes() const { return file_bytes_; }
  const PackHeader& header() const { return header_; }

  // Every chunk of the pack, proven by the trailer's digest without reading the chunks. E_PACK_DAMAGED names the pack.
  Result<std::vector<PackEntry>> table() const;

  // Whether its chunks can be opened with the keys that there are: E_KEY_MISSING or E_SUITE_MISMATCH naming the pack,
  // E_PACK_DAMAGED where its header is not the one that was written.
  Status readable() const;

  // Reads, opens and decodes the chunk at `entry` into `plain` (of entry.plain_bytes) and checks its id.
  // E_CHUNK_DAMAGED names chunk, pack and offset; E_STORAGE_IO and the like where the storage fails; what readable()
  // answers. REQUIRES: entry.stored_bytes is within the format's limit.
  Status read_chunk(const PackEntry& entry, std::uint32_t ordinal, std::span<std::uint8_t> plain) const;

 private:
  PackReader(Id id, UniqueFd fd, std::uint64_t file_bytes, RepositoryKeysPtr keys)
      : id_(id), fd_(std::move(fd)), file_bytes_(file_bytes), keys_(std::move(keys)) {}
  Status read_at(std::uint64_t offset, std::span<std::uint8_t> buffer, std::string_view what) const;
  // The bytes of the table, proven by the trailer's digest.
  Result<Bytes> proven_table() const;

  const Id id_;
  const UniqueFd fd_;
  const std::uint64_t file_bytes_;
  const RepositoryKeysPtr keys_;
  Bytes header_bytes_;
  PackHeader header_;
  std::unique_ptr<const PackSeal> seal_;  // null where the chunks cannot be opened
  Status seal_status_;                    // then says why
};

}  // namespace vzv
