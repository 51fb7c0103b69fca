// root.tar: an archive as one tar file of exact size, of which any range can be read without making the rest.
//
// TarLayout is an index from one pass over the catalogue: where in the tar file, the archive's data and the catalogue
// every so many members one begins. TarFileReader makes bytes from it: it goes to the checkpoint before an offset,
// walks the members from there, makes headers and maps, and takes data from the archive's data stream. tar_writer.h
// tells what a member looks like. The end is GNU tar's: two blocks of zeroes, filled up to a record.
//
// TarLayout is immutable and thread-safe; a TarFileReader belongs to one thread at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "core/archive/catalogue.h"
#include "core/archive/tar_map.h"
#include "core/archive/tar_writer.h"

namespace vzv {

class TarLayout {
 public:
  struct Checkpoint {
    std::uint64_t tar_offset = 0;
    std::uint64_t data_offset = 0;
    std::uint64_t record_offset = 0;  // in the catalogue
  };

  // Reads the whole catalogue. E_CATALOGUE_DAMAGED where a member cannot stand behind those before it
  // (member_index.h), or its members do not make up data_bytes; errors of the store.
  static Result<std::shared_ptr<const TarLayout>> build(StreamReader& catalogue, std::uint64_t data_bytes);

  std::uint64_t size_bytes() const { return size_bytes_; }
  // Where the members' end is and the closing zeroes begin.
  std::uint64_t members_end() const { return members_end_; }
  std::uint64_t members() const { return members_; }
  // The last one at or before the offset. REQUIRES: tar_offset < members_end()
  const Checkpoint& before(std::uint64_t tar_offset) const;

 private:
  std::vector<Checkpoint> checkpoints_;
  std::uint64_t members_end_ = 0;
  std::uint64_t size_bytes_ = 0;
  std::uint64_t members_ = 0;
};

class TarFileReader {
 public:
  // REQUIRES: the catalogue's reader outlives this, which is that of the layout.
  TarFileReader(std::shared_ptr<const TarLayout> layout, StreamReader& catalogue, ReadArchiveData read_data);

  // Fills `buffer` from `offset`. REQUIRES: offset + buffer.size() <= the layout's size_bytes()
  Status read(std::uint64_t offset, std::span<std::uint8_t> buffer);

  // Where the member begins at which it stands: reading there or behind costs least.
  std::uint64_t position() const { return member_offset_; }

 private:
  // Stands at the member that holds the offset.
  Status seek(std::uint64_t offset);
  Status step();
  // Fills the beginning of `buffer` from the member at which it stands; answers how much.
  Result<std::size_t> read_member(std::uint64_t offset, std::span<std::uint8_t> buffer);

  const std::shared_ptr<const TarLayout> layout_;
  CatalogueReader catalogue_;
  const ReadArchiveData read_data_;

  // The member at which it stands, none at first and after an error.
  bool standing_ = false;
  CatalogueEntry entry_;
  std::optional<TarMap> map_;
  TarShape shape_;
  Bytes header_;  // made when it is asked for
  std::uint64_t member_offset_ = 0;
};

}  // namespace vzv
