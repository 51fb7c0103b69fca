// The records of a catalogue: one member each, in the bytes that docs/format.md draws (Catalogue).
//
// A record's path is written as what differs from the record before it in the same piece, so a piece decodes by itself
// and a record only behind those before it. There is one way to write a record: what the decoder accepts is what the
// encoder would write. The decoder takes bytes of any origin, checks every length before it allocates, and answers
// E_CATALOGUE_DAMAGED with what is wrong, without the piece's id. One thread each; nothing is shared.
#pragma once

#include <cstddef>
#include <string>

#include "core/archive/member.h"
#include "core/base/id.h"
#include "core/base/status.h"

namespace vzv {

// Writes the records of a piece one behind the other.
class RecordEncoder {
 public:
  // The next record is the first of a piece.
  void begin_piece() { path_.clear(); }

  // Appends one record to `piece`. A file with more than kRecordExtentsMax extents is split by the caller: its first
  // record has the sizes, those of type kMoreExtents that follow have nothing but extents. E_ARCHIVE_INVALID naming the
  // member where it is one that cannot be kept; then nothing was appended.
  Status append(const Member& member, Bytes& piece);

 private:
  std::string path_;  // of the record before
};

// Reads them again.
class RecordDecoder {
 public:
  // REQUIRES: the bytes outlive this.
  explicit RecordDecoder(ByteSpan piece) : piece_(piece) {}

  bool at_end() const { return at_ == piece_.size(); }
  // Where the next record begins in the piece.
  std::size_t offset() const { return at_; }
  // Fills `member`, whose strings and lists are used again. After an error the decoder is of no more use. What only the
  // records together tell (that the extents of a file make up its stored bytes) is the caller's to check:
  // CatalogueReader does. REQUIRES: !at_end()
  Status next(Member& member);

 private:
  ByteSpan piece_;
  std::size_t at_ = 0;
  std::string path_;  // of the record before
};

}  // namespace vzv
