#include "core/archive/tar_layout.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "core/base/limits.h"

namespace vzv {

namespace {

constexpr std::uint64_t kEndBytes = 2 * kTarBlockBytes;

}  // namespace

Result<std::shared_ptr<const TarLayout>> TarLayout::build(StreamReader& catalogue, std::uint64_t data_bytes) {
  auto layout = std::make_shared<TarLayout>();
  CatalogueReader reader(catalogue);
  CatalogueEntry entry;
  MemberIndex index;
  std::uint64_t tar_offset = 0;
  std::uint64_t data_end = 0;
  for (;;) {
    const Result<bool> more = reader.next(entry);
    if (!more.ok()) return more.status();
    if (!*more) break;
    VZV_TRY(take_in(index, entry.member));
    if (layout->members_++ % limits::kTarCheckpointMembers == 0) {
      layout->checkpoints_.push_back({tar_offset, entry.data_offset, entry.record_offset});
    }
    tar_offset += tar_shape(entry.member, TarMap(entry.member), tar_offset).total_bytes();
    data_end = entry.data_offset + entry.member.stored_bytes;
    if (data_end > data_bytes) break;
  }
  if (data_end != data_bytes) {
    return Status(Code::E_CATALOGUE_DAMAGED, "the members of the catalogue do not make up the " +
                                                 std::to_string(data_bytes) + " bytes of the archive's data");
  }
  layout->members_end_ = tar_offset;
  layout->size_bytes_ = (tar_offset + kEndBytes + kTarRecordBytes - 1) / kTarRecordBytes * kTarRecordBytes;
  return std::shared_ptr<const TarLayout>(std::move(layout));
}

const TarLayout::Checkpoint& TarLayout::before(std::uint64_t tar_offset) const {
  const auto behind = std::upper_bound(
      checkpoints_.begin(), checkpoints_.end(), tar_offset,
      [](std::uint64_t offset, const Checkpoint& checkpoint) { return offset < checkpoint.tar_offset; });
  return *std::prev(behind);
}

TarFileReader::TarFileReader(std::shared_ptr<const TarLayout> layout, StreamReader& catalogue,
                             ReadArchiveData read_data)
    : layout_(std::move(layout)), catalogue_(catalogue), read_data_(std::move(read_data)) {}

Status TarFileReader::read(std::uint64_t offset, std::span<std::uint8_t> buffer) {
  while (!buffer.empty()) {
    if (offset >= layout_->members_end()) {
      std::memset(buffer.data(), 0, buffer.size());
      return {};
    }
    Status status = seek(offset);
    if (!status.ok()) {
      standing_ = false;
      return status;
    }
    const Result<std::size_t> got = read_member(offset, buffer);
    if (!got.ok()) return got.status();
    offset += *got;
    buffer = buffer.subspan(*got);
  }
  return {};
}

Status TarFileReader::seek(std::uint64_t offset) {
  const TarLayout::Checkpoint& checkpoint = layout_->before(offset);
  if (!standing_ || offset < member_offset_ || checkpoint.tar_offset > member_offset_) {
    VZV_TRY(catalogue_.seek(checkpoint.record_offset, checkpoint.data_offset));
    member_offset_ = checkpoint.tar_offset;
    VZV_TRY(step());
    standing_ = true;
  }
  while (offset - member_offset_ >= shape_.total_bytes()) {
    member_offset_ += shape_.total_bytes();
    VZV_TRY(step());
  }
  return {};
}

// Takes the next member, which begins at member_offset_.
Status TarFileReader::step() {
  map_.reset();
  header_.clear();
  const Result<bool> more = catalogue_.next(entry_);
  if (!more.ok()) return more.status();
  if (!*more) return {Code::E_INTERNAL, "the catalogue ends before its tar file"};
  map_.emplace(entry_.member);
  shape_ = tar_shape(entry_.member, *map_, member_offset_);
  return {};
}

Result<std::size_t> TarFileReader::read_member(std::uint64_t offset, std::span<std::uint8_t> buffer) {
  std::uint64_t within = offset - member_offset_;
  if (within < shape_.header_bytes) {
    if (header_.empty()) header_ = tar_member_header(entry_.member, shape_);
    const std::size_t length = std::min<std::uint64_t>(buffer.size(), shape_.header_bytes - within);
    std::memcpy(buffer.data(), header_.data() + within, length);
    return length;
  }
  within -= shape_.header_bytes;
  if (within < shape_.map_bytes) {
    const std::size_t length = std::min<std::uint64_t>(buffer.size(), shape_.map_bytes - within);
    map_->text(within, buffer.first(length));
    return length;
  }
  within -= shape_.map_bytes;
  const std::size_t length = std::min<std::uint64_t>(buffer.size(), shape_.data_bytes - within);
  VZV_TRY(map_->read_data(within, entry_.data_offset, buffer.first(length), read_data_));
  return length;
}

}  // namespace vzv
