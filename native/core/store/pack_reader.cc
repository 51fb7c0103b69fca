#include "core/store/pack_reader.h"

#include <sys/stat.h>

#include <cerrno>

#include "core/base/limits.h"

namespace vzv {

namespace {

// Says which pack it is that is damaged.
Status in_pack(const Id& pack, const Status& status) {
  return {status.code(), describe_pack(pack) + ": " + status.message()};
}

}  // namespace

Result<std::shared_ptr<PackReader>> PackReader::open(RepositoryDir& dir, const Id& pack, RepositoryKeysPtr keys) {
  Result<UniqueFd> fd = dir.open_read(pack_name(pack));
  if (!fd.ok()) return fd.status();
  if (!fd->valid())
    return Status(Code::E_PACK_MISSING, describe_pack(pack) + " is missing: there is no " + pack_name(pack));
  struct stat status;
  if (::fstat(fd->get(), &status) != 0) return storage_errno(errno, "looking at " + pack_name(pack));
  if (!S_ISREG(status.st_mode)) return in_pack(pack, {Code::E_PACK_DAMAGED, "it is not a regular file"});
  const auto file_bytes = static_cast<std::uint64_t>(status.st_size);
  std::shared_ptr<PackReader> reader(new PackReader(pack, std::move(*fd), file_bytes, std::move(keys)));

  reader->header_bytes_.resize(kPackHeaderBytes);
  VZV_TRY(reader->read_at(0, reader->header_bytes_, "header"));
  Result<PackHeader> decoded = decode_pack_header(reader->header_bytes_);
  if (!decoded.ok()) {
    // A suite that nobody knows is more often a damaged byte than a newer version: the digest tells them apart.
    if (decoded.status().code() == Code::E_SUITE_UNKNOWN) VZV_TRY(reader->proven_table().status());
    return in_pack(pack, decoded.status());
  }
  reader->header_ = *decoded;
  Result<std::unique_ptr<const PackSeal>> seal = PackSeal::create(reader->header_, reader->keys_.get());
  if (seal.ok()) reader->seal_ = std::move(*seal);
  reader->seal_status_ = seal.status();
  return reader;
}

Status PackReader::read_at(std::uint64_t offset, std::span<std::uint8_t> buffer, std::string_view what) const {
  const int error = read_exactly_at(fd_.get(), offset, buffer);
  if (error == 0) return {};
  if (error == ENODATA) return in_pack(id_, {Code::E_PACK_DAMAGED, "it ends within its " + std::string(what)});
  return storage_errno(error, "reading the " + std::string(what) + " of " + pack_name(id_));
}

Result<Bytes> PackReader::proven_table() const {
  if (file_bytes_ < kPackHeaderBytes + kPackTrailerBytes)
    return in_pack(id_, {Code::E_PACK_DAMAGED, "it is cut short"});
  Bytes trailer_bytes(kPackTrailerBytes);
  VZV_TRY(read_at(file_bytes_ - kPackTrailerBytes, trailer_bytes, "trailer"));
  Result<PackTrailer> trailer = decode_pack_trailer(trailer_bytes, file_bytes_);
  if (!trailer.ok()) return in_pack(id_, trailer.status());

  Bytes table_bytes(trailer->table_bytes);
  VZV_TRY(read_at(file_bytes_ - kPackTrailerBytes - table_bytes.size(), table_bytes, "table"));
  const Status digest = check_pack_digest(header_bytes_, table_bytes, trailer_bytes);
  if (!digest.ok()) return in_pack(id_, digest);
  return table_bytes;
}

Result<std::vector<PackEntry>> PackReader::table() const {
  Result<Bytes> bytes = proven_table();
  if (!bytes.ok()) return bytes.status();
  Result<std::vector<PackEntry>> entries = decode_pack_table(*bytes, file_bytes_);
  if (!entries.ok()) return in_pack(id_, entries.status());
  return entries;
}

Status PackReader::readable() const {
  if (seal_ != nullptr) return {};
  // Another suite than expected is more often a damaged byte: the digest tells.
  VZV_TRY(proven_table().status());
  return in_pack(id_, seal_status_);
}

Status PackReader::read_chunk(const PackEntry& entry, std::uint32_t ordinal, std::span<std::uint8_t> plain) const {
  VZV_TRY(readable());
  const std::string where = describe_chunk(entry.id, entry.type) + " in " + describe_pack(id_) + " at offset " +
                            std::to_string(entry.offset) + ": ";
  // Kept by the thread: at most one stored chunk's worth.
  thread_local Bytes buffer;
  if (buffer.size() < entry.stored_bytes) buffer.resize(entry.stored_bytes);
  const std::span<std::uint8_t> stored(buffer.data(), entry.stored_bytes);
  const int error = read_exactly_at(fd_.get(), entry.offset, stored);
  if (error == ENODATA) return {Code::E_CHUNK_DAMAGED, where + "the pack ends before it"};
  if (error != 0) return storage_errno(error, "reading " + where.substr(0, where.size() - 2));

  const SealContext context{ordinal, entry.id, entry.type, entry.codec, entry.plain_bytes};
  const Status opened = seal_->open(context, stored, plain);
  if (!opened.ok()) return {opened.code(), where + opened.message()};
  if (chunk_id(keys_.get(), plain) != entry.id) return {Code::E_CHUNK_DAMAGED, where + "its bytes do not match its id"};
  return {};
}

}  // namespace vzv
