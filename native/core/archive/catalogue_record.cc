#include "core/archive/catalogue_record.h"

#include <algorithm>

#include "core/archive/varint.h"
#include "core/base/limits.h"

namespace vzv {

namespace {

constexpr std::uint8_t kSparse = 1;
constexpr std::uint8_t kXattrs = 2;
constexpr std::uint8_t kAclAccess = 4;
constexpr std::uint8_t kAclDefault = 8;
constexpr std::uint8_t kFlags = kSparse | kXattrs | kAclAccess | kAclDefault;

// The least that an extent or an extended attribute takes: a count that would need more than is left is a lie.
constexpr std::size_t kExtentMinBytes = 2;
constexpr std::size_t kXattrMinBytes = 3;

Status damaged(const std::string& what) { return {Code::E_CATALOGUE_DAMAGED, what}; }

std::uint8_t flags_of(const Member& member) {
  unsigned flags = 0;
  if (member.sparse) flags |= kSparse;
  if (!member.xattrs.empty()) flags |= kXattrs;
  if (!member.acl_access.empty()) flags |= kAclAccess;
  if (!member.acl_default.empty()) flags |= kAclDefault;
  return static_cast<std::uint8_t>(flags);
}

std::size_t shared_prefix(std::string_view a, std::string_view b) {
  const std::size_t most = std::min(a.size(), b.size());
  return static_cast<std::size_t>(std::mismatch(a.begin(), a.begin() + most, b.begin()).first - a.begin());
}

void put_extents(Bytes& out, const std::vector<MemberExtent>& extents) {
  put_varint(out, extents.size());
  std::uint64_t end = 0;
  for (const MemberExtent& extent : extents) {
    put_varint(out, extent.offset - end);
    put_varint(out, extent.length);
    end = extent.offset + extent.length;
  }
}

void put_content(Bytes& out, const Member& member) {
  switch (member.type) {
    case MemberType::kFile:
      put_varint(out, member.size_bytes);
      put_varint(out, member.stored_bytes);
      if (member.sparse) put_extents(out, member.extents);
      return;
    case MemberType::kSymlink:
    case MemberType::kHardLink:
      return put_text(out, member.link_target);
    case MemberType::kCharDevice:
    case MemberType::kBlockDevice:
      put_varint(out, member.device_major);
      return put_varint(out, member.device_minor);
    case MemberType::kDirectory:
    case MemberType::kFifo:
    case MemberType::kMoreExtents:
      return;
  }
}

Status read_extents(VarintReader& reader, std::vector<MemberExtent>& extents) {
  const std::uint64_t count = reader.varint_up_to(limits::kRecordExtentsMax);
  if (!reader.ok() || count > reader.remaining() / kExtentMinBytes) return damaged("a list of extents is too long");
  extents.resize(count);
  std::uint64_t end = 0;
  for (MemberExtent& extent : extents) {
    // Both below 2^53, as is their sum: what follows them is checked against the size by the caller.
    const std::uint64_t gap = reader.varint_up_to(limits::kArchiveSizeMax);
    extent.length = reader.varint_up_to(limits::kArchiveSizeMax);
    extent.offset = end + gap;
    end = extent.offset + extent.length;
    if (!reader.ok() || end > limits::kArchiveSizeMax) return damaged("an extent lies beyond 2^53 bytes");
  }
  return {};
}

Status read_content(VarintReader& reader, Member& member) {
  switch (member.type) {
    case MemberType::kFile:
      member.size_bytes = reader.varint();
      member.stored_bytes = reader.varint();
      return member.sparse ? read_extents(reader, member.extents) : Status();
    case MemberType::kSymlink:
    case MemberType::kHardLink:
      member.link_target = reader.text(limits::kMemberPathMaxBytes);
      return {};
    case MemberType::kCharDevice:
    case MemberType::kBlockDevice:
      member.device_major = static_cast<std::uint32_t>(reader.varint_up_to(UINT32_MAX));
      member.device_minor = static_cast<std::uint32_t>(reader.varint_up_to(UINT32_MAX));
      return {};
    case MemberType::kDirectory:
    case MemberType::kFifo:
    case MemberType::kMoreExtents:
      return {};
  }
  return {};
}

Status read_xattrs(VarintReader& reader, std::vector<Xattr>& xattrs) {
  const std::uint64_t count = reader.varint();
  if (!reader.ok() || count == 0 || count > reader.remaining() / kXattrMinBytes) {
    return damaged("a list of extended attributes is empty or too long");
  }
  for (std::uint64_t i = 0; i < count; ++i) {
    Xattr& xattr = xattrs.emplace_back();
    xattr.name = reader.text(limits::kXattrNameMaxBytes);
    xattr.value = reader.text(limits::kXattrValueMaxBytes);
    if (!reader.ok()) return damaged("an extended attribute is cut short or too large");
  }
  return {};
}

Status read_path(VarintReader& reader, std::string_view before, std::string& path) {
  const auto shared = static_cast<std::size_t>(reader.varint_up_to(before.size()));
  const std::string_view suffix = reader.text(limits::kMemberPathMaxBytes);
  if (!reader.ok()) return damaged("a path is cut short or too long");
  if (!suffix.empty() && shared < before.size() && before[shared] == suffix.front()) {
    return damaged("a path shares less with the one before than it could");
  }
  path = before.substr(0, shared);
  path += suffix;
  return {};
}

Status read_attributes(VarintReader& reader, std::uint8_t flags, Member& member) {
  if ((flags & kXattrs) != 0) VZV_TRY(read_xattrs(reader, member.xattrs));
  if ((flags & kAclAccess) != 0) {
    member.acl_access = reader.text(limits::kAclTextMaxBytes);
    if (member.acl_access.empty()) return damaged("an ACL is empty");
  }
  if ((flags & kAclDefault) != 0) {
    member.acl_default = reader.text(limits::kAclTextMaxBytes);
    if (member.acl_default.empty()) return damaged("an ACL is empty");
  }
  return {};
}

void clear(Member& member) {
  member.path.clear();
  member.extents.clear();
  member.link_target.clear();
  member.xattrs.clear();
  member.acl_access.clear();
  member.acl_default.clear();
  member.mode = member.uid = member.gid = member.mtime_nanoseconds = member.device_major = member.device_minor = 0;
  member.mtime_seconds = 0;
  member.size_bytes = member.stored_bytes = 0;
}

// What is wrong with a record of type kMoreExtents; its size is told by the file's first record.
std::string more_extents_problem(const Member& member) {
  if (member.extents.empty() || member.extents.size() > limits::kRecordExtentsMax) return "a list of extents is empty";
  const MemberExtent& last = member.extents.back();
  std::uint64_t sum = 0;
  for (const MemberExtent& extent : member.extents) sum += extent.length;
  return extents_problem(member.extents, last.offset + last.length, sum);
}

}  // namespace

Status RecordEncoder::append(const Member& member, Bytes& piece) {
  const bool more = member.type == MemberType::kMoreExtents;
  std::string problem = more ? more_extents_problem(member) : member_problem(member);
  if (member.extents.size() > limits::kRecordExtentsMax) problem = "a record cannot have all of its extents";
  if (!problem.empty()) return {Code::E_ARCHIVE_INVALID, "member '" + printable(member.path) + "': " + problem};
  piece.push_back(static_cast<std::uint8_t>(member.type));
  piece.push_back(more ? kSparse : flags_of(member));
  if (more) {
    put_extents(piece, member.extents);
    return {};
  }
  const std::size_t shared = shared_prefix(path_, member.path);
  put_varint(piece, shared);
  put_text(piece, std::string_view(member.path).substr(shared));
  put_varint(piece, member.mode);
  put_varint(piece, member.uid);
  put_varint(piece, member.gid);
  put_varint(piece, zigzag(member.mtime_seconds));
  put_varint(piece, member.mtime_nanoseconds);
  put_content(piece, member);
  if (!member.xattrs.empty()) {
    put_varint(piece, member.xattrs.size());
    for (const Xattr& xattr : member.xattrs) {
      put_text(piece, xattr.name);
      put_text(piece, xattr.value);
    }
  }
  if (!member.acl_access.empty()) put_text(piece, member.acl_access);
  if (!member.acl_default.empty()) put_text(piece, member.acl_default);
  path_ = member.path;
  return {};
}

Status RecordDecoder::next(Member& member) {
  VarintReader reader(piece_, at_);
  clear(member);
  const std::uint8_t type = reader.u8();
  const std::uint8_t flags = reader.u8();
  if (!reader.ok() || type < 1 || type > 8) return damaged("a record's type " + std::to_string(type) + " is unknown");
  member.type = static_cast<MemberType>(type);
  member.sparse = (flags & kSparse) != 0;
  const bool more = member.type == MemberType::kMoreExtents;
  if ((flags & ~kFlags) != 0 || (more && flags != kSparse) ||
      (member.sparse && !more && member.type != MemberType::kFile)) {
    return damaged("a record's flags " + std::to_string(flags) + " are not those of its type");
  }
  if (more) {
    VZV_TRY(read_extents(reader, member.extents));
    if (!reader.ok()) return damaged("a record is cut short");
  } else {
    VZV_TRY(read_path(reader, path_, member.path));
    member.mode = static_cast<std::uint32_t>(reader.varint_up_to(07777));
    member.uid = static_cast<std::uint32_t>(reader.varint_up_to(UINT32_MAX));
    member.gid = static_cast<std::uint32_t>(reader.varint_up_to(UINT32_MAX));
    member.mtime_seconds = unzigzag(reader.varint());
    member.mtime_nanoseconds = static_cast<std::uint32_t>(reader.varint_up_to(999'999'999));
    VZV_TRY(read_content(reader, member));
    VZV_TRY(read_attributes(reader, flags, member));
    if (!reader.ok()) return damaged("a record is cut short, or a number in it is out of range");
    path_ = member.path;
  }
  const std::string problem = more ? more_extents_problem(member) : member_problem(member);
  if (!problem.empty()) return damaged("member '" + printable(member.path) + "': " + problem);
  at_ = reader.offset();
  return {};
}

}  // namespace vzv
