#include "fuse/open_member.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace vzv::fuse {

OpenMember::OpenMember(File file, ArchiveStream& shared) : file_(std::move(file)), stream_(shared) { sum_up(); }

OpenMember::OpenMember(File file, Archive& archive, ReadAheadPool& pool)
    : file_(std::move(file)), own_(std::in_place, archive, pool), stream_(*own_) {
  sum_up();
}

void OpenMember::sum_up() {
  stored_before_.reserve(file_.extents.size());
  std::uint64_t sum = 0;
  for (const MemberExtent& extent : file_.extents) {
    stored_before_.push_back(sum);
    sum += extent.length;
  }
}

std::size_t OpenMember::extent_at(std::uint64_t offset) const {
  const auto ends_behind = [](const MemberExtent& extent, std::uint64_t at) {
    return extent.offset + extent.length <= at;
  };
  const auto found = std::lower_bound(file_.extents.begin(), file_.extents.end(), offset, ends_behind);
  return static_cast<std::size_t>(found - file_.extents.begin());
}

Status OpenMember::read(std::uint64_t offset, std::span<std::uint8_t> buffer) {
  if (!file_.sparse) return stream_.read(file_.data_offset + offset, buffer);
  for (std::size_t i = extent_at(offset); !buffer.empty(); ++i) {
    const bool last = i == file_.extents.size();
    const std::uint64_t data_begin = last ? file_.size_bytes : file_.extents[i].offset;
    if (offset < data_begin) {
      const auto hole = buffer.first(std::min<std::uint64_t>(buffer.size(), data_begin - offset));
      std::memset(hole.data(), 0, hole.size());
      buffer = buffer.subspan(hole.size());
      offset += hole.size();
    }
    if (last || buffer.empty()) break;
    const std::uint64_t within = offset - data_begin;
    const auto data = buffer.first(std::min<std::uint64_t>(buffer.size(), file_.extents[i].length - within));
    VZV_TRY(stream_.read(file_.data_offset + stored_before_[i] + within, data));
    buffer = buffer.subspan(data.size());
    offset += data.size();
  }
  return {};
}

Result<std::uint64_t> OpenMember::seek_data(std::uint64_t offset) {
  if (!file_.sparse) return offset;
  const std::size_t i = extent_at(offset);
  return i == file_.extents.size() ? file_.size_bytes : std::max(offset, file_.extents[i].offset);
}

Result<std::uint64_t> OpenMember::seek_hole(std::uint64_t offset) {
  if (!file_.sparse) return file_.size_bytes;
  const std::size_t i = extent_at(offset);
  // Extents do not touch, so a hole or the end of the file follows each.
  if (i == file_.extents.size() || offset < file_.extents[i].offset) return offset;
  return file_.extents[i].offset + file_.extents[i].length;
}

}  // namespace vzv::fuse
