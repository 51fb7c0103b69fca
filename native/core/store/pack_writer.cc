#include "core/store/pack_writer.h"

#include <algorithm>

#include "core/base/crash_point.h"
#include "core/base/limits.h"

namespace vzv {

Result<std::unique_ptr<PackWriter>> PackWriter::create(const std::shared_ptr<RepositoryDir>& dir,
                                                       const RepositoryKeys* keys) {
  const PackHeader header{suite_of(keys), new_salt()};
  Result<std::unique_ptr<const PackSeal>> seal = PackSeal::create(header, keys);
  if (!seal.ok()) return seal.status();
  Result<std::unique_ptr<NewFile>> file = dir->create();
  if (!file.ok()) return file.status();
  std::unique_ptr<PackWriter> writer(new PackWriter(std::move(*file), header, std::move(*seal)));
  VZV_TRY(writer->write(writer->header_bytes_));
  pass_crash_point(CrashPoint::kPackCreated);
  return writer;
}

PackWriter::PackWriter(std::unique_ptr<NewFile> file, const PackHeader& header, std::unique_ptr<const PackSeal> seal)
    : file_(std::move(file)), seal_(std::move(seal)), header_bytes_(encode_pack_header(header)) {
  buffer_.reserve(limits::kWriteBufferBytes);
}

Status PackWriter::write(ByteSpan bytes) {
  offset_ += bytes.size();
  while (!bytes.empty()) {
    const std::size_t piece = std::min(bytes.size(), limits::kWriteBufferBytes - buffer_.size());
    buffer_.insert(buffer_.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(piece));
    bytes = bytes.subspan(piece);
    if (buffer_.size() == limits::kWriteBufferBytes) VZV_TRY(flush_buffer());
  }
  return {};
}

Status PackWriter::flush_buffer() {
  hash_.update(buffer_);
  VZV_TRY(file_->append(buffer_));
  buffer_.clear();
  return {};
}

bool PackWriter::fits(std::size_t encoded_bytes) const {
  const std::uint64_t table = (std::uint64_t{entries()} + 1) * kPackEntryBytes;
  return entries() < limits::kPackEntriesMax && encoded_bytes <= limits::kDataChunkMaxBytes &&
         offset_ + encoded_bytes + limits::kSealOverheadMaxBytes + table + kPackTrailerBytes <= limits::kPackMaxBytes;
}

Status PackWriter::usable() const {
  if (intact_) return {};
  return error_.ok() ? Status(Code::E_INTERNAL, "writing a pack: an earlier chunk of it was cut off") : error_;
}

Status PackWriter::append(const Id& id, ChunkType type, std::uint32_t plain_bytes, EncodedChunk encoded) {
  VZV_TRY(usable());
  if (!fits(encoded.bytes.size())) return {Code::E_INTERNAL, "a pack was filled beyond its limit"};
  intact_ = false;
  const SealContext context{entries(), id, type, encoded.codec, plain_bytes};
  const Bytes stored = seal_->seal(context, std::move(encoded.bytes));
  entries_.push_back({id, type, encoded.codec, static_cast<std::uint32_t>(stored.size()), plain_bytes, offset_});
  error_ = write(stored);
  intact_ = error_.ok();
  return error_;
}

Result<FinishedPack> PackWriter::finish(const std::function<void(const Id&)>& named) {
  VZV_TRY(usable());
  intact_ = false;
  VZV_TRY(write(encode_pack_tail(header_bytes_, entries_)));
  VZV_TRY(flush_buffer());
  const Id id = hash_.finish();
  if (named) named(id);
  const Status published = file_->publish(pack_name(id));
  if (!published.ok() && published.code() != Code::E_NAME_TAKEN) return published;
  return FinishedPack{id, offset_, std::move(entries_)};
}

}  // namespace vzv
