// The catalogue of an archive as a stream of pieces: writing it member by member, and going through it again.
//
// A piece ends behind a record whose path says so, so that a member that came, went or changed alters one piece or two.
// The position of a file's data is not written: it is the sum of the stored lengths before it.
#pragma once

#include <cstdint>

#include "core/archive/catalogue_record.h"
#include "core/archive/member_index.h"
#include "core/archive/stream_map.h"

namespace vzv {

// One thread at a time. Holds one piece.
class CatalogueWriter {
 public:
  // REQUIRES: the writer outlives this.
  explicit CatalogueWriter(ChunkWriter& writer) : writer_(writer), stream_(writer) {}

  // With all of its extents, however many. E_ARCHIVE_INVALID naming a member that cannot be kept; errors of the
  // storage.
  Status add(const Member& member);
  std::uint64_t members() const { return members_; }
  // Nothing can be added afterwards. Durable after the ChunkWriter's flush().
  Result<StreamMap> finish();

 private:
  Status add_record(const Member& record, std::string_view path);
  Status end_piece();

  ChunkWriter& writer_;
  StreamWriter stream_;
  RecordEncoder encoder_;
  Bytes piece_;
  std::uint64_t members_ = 0;
};

// Takes a member of a catalogue in. E_CATALOGUE_DAMAGED naming it where it cannot stand behind those before it.
Status take_in(MemberIndex& index, const Member& member);

struct CatalogueEntry {
  Member member;                    // with all of its extents
  std::uint64_t data_offset = 0;    // where its stored bytes begin in the data stream
  std::uint64_t record_offset = 0;  // of its (first) record in the catalogue stream: what seek() takes
};

// One thread at a time; several readers may share a StreamReader.
class CatalogueReader {
 public:
  // REQUIRES: the stream, of type kCatalogue, outlives this.
  explicit CatalogueReader(StreamReader& stream) : stream_(stream), decoder_(ByteSpan()) {}

  // Fills `entry` with the next member; false at the end. E_CATALOGUE_DAMAGED naming the piece, and the errors of
  // StreamReader. After an error only seek() and skip_damaged() are of use.
  Result<bool> next(CatalogueEntry& entry);

  // Goes on at a record that an entry told of, whose data begins there. REQUIRES: record_offset is one of this stream.
  Status seek(std::uint64_t record_offset, std::uint64_t data_offset);

  // After next() failed: goes on behind the piece, or the pieces, that cannot be read. What they held is lost, and with
  // it where the data of the members behind begins.
  void skip_damaged();

  // Where in the stream the next record stands, and how many pieces were opened so far.
  std::uint64_t offset() const { return piece_.offset + decoder_.offset(); }
  std::uint64_t pieces() const { return pieces_; }

 private:
  Status next_record(Member& member, std::uint64_t& record_offset);
  Status open_piece(std::uint64_t offset);
  Status read_more_extents(Member& member);
  Status damaged(const std::string& what) const;

  StreamReader& stream_;
  StreamPiece piece_;  // being decoded
  ChunkReader::Chunk bytes_;
  RecordDecoder decoder_;
  Member more_;                    // a record of further extents
  std::uint64_t data_offset_ = 0;  // of the next member
  std::uint64_t pieces_ = 0;
};

}  // namespace vzv
