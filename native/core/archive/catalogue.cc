#include "core/archive/catalogue.h"

#include <algorithm>

#include "core/base/bytes.h"

namespace vzv {

namespace {

std::uint64_t sum_of(const std::vector<MemberExtent>& extents) {
  std::uint64_t sum = 0;
  for (const MemberExtent& extent : extents) sum += extent.length;
  return sum;
}

// One path in 256 ends a piece.
bool ends_piece(const RepositoryKeys* keys, std::string_view path) {
  return cut_digest(keys, as_bytes(path)).bytes[0] == 0;
}

}  // namespace

Status CatalogueWriter::add(const Member& member) {
  if (member.type == MemberType::kMoreExtents) return {Code::E_INTERNAL, "further extents are no member"};
  ++members_;
  if (member.extents.size() <= limits::kRecordExtentsMax) return add_record(member, member.path);
  Member record = member;
  auto at = member.extents.begin();
  while (at != member.extents.end()) {
    const auto count = std::min<std::ptrdiff_t>(limits::kRecordExtentsMax, member.extents.end() - at);
    record.extents.assign(at, at + count);
    VZV_TRY(add_record(record, member.path));
    record = Member();
    record.type = MemberType::kMoreExtents;
    at += count;
  }
  return {};
}

Status CatalogueWriter::add_record(const Member& record, std::string_view path) {
  VZV_TRY(encoder_.append(record, piece_));
  const std::size_t bytes = piece_.size();
  if (bytes < limits::kCataloguePieceLeastBytes) return {};
  return bytes >= limits::kCataloguePieceMostBytes || ends_piece(writer_.keys(), path) ? end_piece() : Status();
}

Status CatalogueWriter::end_piece() {
  const Id id = chunk_id(writer_.keys(), piece_);
  const auto put = writer_.put(ChunkType::kCatalogue, id, piece_);
  if (!put.ok()) return put.status();
  VZV_TRY(stream_.append(id, static_cast<std::uint32_t>(piece_.size())));
  piece_.clear();
  encoder_.begin_piece();
  return {};
}

Result<StreamMap> CatalogueWriter::finish() {
  if (!piece_.empty()) VZV_TRY(end_piece());
  return stream_.finish();
}

Status take_in(MemberIndex& index, const Member& member) {
  const std::string problem = index.add(member);
  if (problem.empty()) return {};
  return {Code::E_CATALOGUE_DAMAGED, "member '" + printable(member.path) + "' of the catalogue " + problem};
}

Status CatalogueReader::damaged(const std::string& what) const {
  return {Code::E_CATALOGUE_DAMAGED, describe_chunk(piece_.id, ChunkType::kCatalogue) + " at offset " +
                                         std::to_string(piece_.offset) + " of the catalogue: " + what};
}

Status CatalogueReader::open_piece(std::uint64_t offset) {
  bytes_ = nullptr;
  decoder_ = RecordDecoder(ByteSpan());
  piece_ = StreamPiece{.id = {}, .offset = offset, .length = 0};
  const Result<StreamPiece> piece = stream_.piece(offset);
  if (!piece.ok()) return piece.status();
  piece_ = *piece;
  ++pieces_;
  Result<ChunkReader::Chunk> bytes = stream_.bytes(piece_);
  if (!bytes.ok()) return bytes.status();
  bytes_ = std::move(*bytes);
  decoder_ = RecordDecoder(*bytes_);
  return {};
}

// REQUIRES: there is one.
Status CatalogueReader::next_record(Member& member, std::uint64_t& record_offset) {
  if (bytes_ == nullptr || decoder_.at_end()) VZV_TRY(open_piece(piece_.offset + piece_.length));
  record_offset = piece_.offset + decoder_.offset();
  const Status status = decoder_.next(member);
  return status.ok() ? status : damaged(status.message());
}

Result<bool> CatalogueReader::next(CatalogueEntry& entry) {
  const bool piece_done = bytes_ == nullptr || decoder_.at_end();
  if (piece_done && piece_.offset + piece_.length == stream_.size_bytes()) return false;
  VZV_TRY(next_record(entry.member, entry.record_offset));
  if (entry.member.type == MemberType::kMoreExtents) return damaged("extents follow that are of no file");
  if (entry.member.sparse) VZV_TRY(read_more_extents(entry.member));
  if (entry.member.stored_bytes > limits::kArchiveSizeMax - data_offset_) return damaged("its files are too large");
  entry.data_offset = data_offset_;
  data_offset_ += entry.member.stored_bytes;
  return true;
}

// As long as there is less than the file stores, the next record continues it.
Status CatalogueReader::read_more_extents(Member& member) {
  std::uint64_t sum = sum_of(member.extents);
  while (sum < member.stored_bytes) {
    const bool piece_done = decoder_.at_end();
    if (piece_done && piece_.offset + piece_.length == stream_.size_bytes()) break;
    std::uint64_t record_offset = 0;
    VZV_TRY(next_record(more_, record_offset));
    if (more_.type != MemberType::kMoreExtents) break;
    if (member.extents.size() + more_.extents.size() > limits::kSparseExtentsMax) break;
    sum += sum_of(more_.extents);
    member.extents.insert(member.extents.end(), more_.extents.begin(), more_.extents.end());
  }
  const std::string problem = extents_problem(member.extents, member.size_bytes, member.stored_bytes);
  if (!problem.empty()) return damaged("member '" + printable(member.path) + "': " + problem);
  return {};
}

Status CatalogueReader::seek(std::uint64_t record_offset, std::uint64_t data_offset) {
  VZV_TRY(open_piece(record_offset));
  data_offset_ = data_offset;
  Member passed_over;
  while (piece_.offset + decoder_.offset() < record_offset) {
    if (decoder_.at_end()) break;
    const Status status = decoder_.next(passed_over);
    if (!status.ok()) return damaged(status.message());
  }
  if (piece_.offset + decoder_.offset() != record_offset || decoder_.at_end()) {
    return damaged("no record begins at offset " + std::to_string(record_offset));
  }
  return {};
}

void CatalogueReader::skip_damaged() {
  // A piece whose length is known is passed over; else all that lies below the node that cannot be read.
  const std::uint64_t end =
      piece_.length > 0 ? piece_.offset + piece_.length : stream_.end_of_unreadable(piece_.offset);
  bytes_ = nullptr;
  decoder_ = RecordDecoder(ByteSpan());
  piece_ = StreamPiece{.id = {}, .offset = end, .length = 0};
}

}  // namespace vzv
