// Writes one pack: header, sealed chunks as they come, table and trailer. The name, SHA-256 of the file, is computed on
// the way.
//
// Used by one thread at a time; append() and finish() may come from different ones. After an error, also an exception,
// the pack is lost: nothing can be appended, it cannot be finished, and whoever destroys the writer removes the file.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "core/base/sha256.h"
#include "core/store/pack_format.h"
#include "core/store/repository_dir.h"
#include "core/store/seal.h"

namespace vzv {

struct FinishedPack {
  Id id;
  std::uint64_t file_bytes;
  std::vector<PackEntry> entries;
};

class PackWriter {
 public:
  // `keys` are the repository's, null where it is not encrypted.
  static Result<std::unique_ptr<PackWriter>> create(const std::shared_ptr<RepositoryDir>& dir,
                                                    const RepositoryKeys* keys = nullptr);

  // REQUIRES: fits(encoded.bytes.size()); encoded came from `plain_bytes` bytes whose id this is.
  Status append(const Id& id, ChunkType type, std::uint32_t plain_bytes, EncodedChunk encoded);

  // True while a chunk of so many encoded bytes and the table that it needs stay within the limits of the format.
  bool fits(std::size_t encoded_bytes) const;
  // Of the file so far, without table and trailer.
  std::uint64_t bytes() const { return offset_; }
  std::uint32_t entries() const { return static_cast<std::uint32_t>(entries_.size()); }

  // Makes the pack durable under its name. A pack of that name that exists already has the same bytes: success.
  // `named` is told the name before anybody else can see it. REQUIRES: entries() > 0.
  Result<FinishedPack> finish(const std::function<void(const Id&)>& named = {});

 private:
  PackWriter(std::unique_ptr<NewFile> file, const PackHeader& header, std::unique_ptr<const PackSeal> seal);
  // What made the pack useless.
  Status usable() const;
  Status write(ByteSpan bytes);
  Status flush_buffer();

  std::unique_ptr<NewFile> file_;
  const std::unique_ptr<const PackSeal> seal_;
  const Bytes header_bytes_;
  Bytes buffer_;  // appended, not yet handed to the file
  Sha256 hash_;
  std::vector<PackEntry> entries_;
  std::uint64_t offset_ = 0;
  // False while a chunk is on its way, and for ever where it did not arrive whole: the table would tell of bytes that
  // are not where it says.
  bool intact_ = true;
  Status error_;
};

}  // namespace vzv
