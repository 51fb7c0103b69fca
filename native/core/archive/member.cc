#include "core/archive/member.h"

#include <sys/stat.h>

#include <cstdio>

#include "core/archive/acl.h"
#include "core/base/limits.h"

namespace vzv {

namespace {

constexpr std::size_t kShownBytesMax = 200;

bool has_nul(std::string_view text) { return text.find('\0') != std::string_view::npos; }

std::string component_problem(std::string_view component) {
  if (component.empty()) return "a component is empty";
  if (component == "." || component == "..") return "a component is '" + std::string(component) + "'";
  if (component.size() > limits::kNameComponentMaxBytes) {
    return "a component has " + std::to_string(component.size()) + " bytes";
  }
  return {};
}

// Ascending, apart, not empty, and within size_bytes.
std::string extent_order_problem(const std::vector<MemberExtent>& extents, std::uint64_t size_bytes) {
  std::uint64_t end = 0;
  for (std::size_t i = 0; i < extents.size(); ++i) {
    const MemberExtent& extent = extents[i];
    if (extent.length == 0) return "a range of data is empty";
    if (i > 0 && extent.offset <= end) return "its ranges of data overlap or are out of order";
    if (extent.offset > size_bytes || extent.length > size_bytes - extent.offset) {
      return "a range of data ends beyond its size";
    }
    end = extent.offset + extent.length;
  }
  return {};
}

std::string file_problem(const Member& member) {
  if (member.size_bytes >= limits::kArchiveSizeMax) return "its size is beyond 2^53 bytes";
  if (member.stored_bytes > member.size_bytes) return "it stores more than its size";
  if (!member.sparse && member.stored_bytes != member.size_bytes) return "it stores less than its size";
  if (!member.sparse && !member.extents.empty()) return "it has ranges of data though it is not sparse";
  return extent_order_problem(member.extents, member.size_bytes);
}

std::string link_problem(const Member& member) {
  if (member.type == MemberType::kHardLink) {
    const std::string problem = path_problem(member.link_target);
    if (!problem.empty()) return "the target of the hard link is no path: " + problem;
    return member.link_target.empty() ? "a hard link to the root" : "";
  }
  if (member.link_target.empty()) return "the target of the symbolic link is empty";
  if (member.link_target.size() > limits::kSymlinkTargetMaxBytes) return "the target of the symbolic link is too long";
  return has_nul(member.link_target) ? "the target of the symbolic link has a NUL" : "";
}

std::string device_problem(const Member& member) {
  if (member.device_major > limits::kDeviceMajorMax) return "its major device number is beyond 4,095";
  return member.device_minor > limits::kDeviceMinorMax ? "its minor device number is beyond 1,048,575" : "";
}

std::string xattrs_problem(const std::vector<Xattr>& xattrs) {
  std::size_t total = 0;
  const std::string* before = nullptr;
  for (const Xattr& xattr : xattrs) {
    if (xattr.name.empty() || has_nul(xattr.name)) return "the name of an extended attribute is empty or has a NUL";
    if (xattr.name.size() > limits::kXattrNameMaxBytes) return "the name of an extended attribute is too long";
    if (xattr.value.size() > limits::kXattrValueMaxBytes) return "an extended attribute is larger than 64 KiB";
    if (before != nullptr && *before >= xattr.name) return "its extended attributes are out of order";
    before = &xattr.name;
    total += xattr.name.size() + xattr.value.size();
    if (total > limits::kMemberXattrsMaxBytes) return "its extended attributes are larger than 2 MiB in all";
  }
  return {};
}

std::string acl_problem(const std::string& text) {
  if (text.size() > limits::kAclTextMaxBytes) return "an ACL is larger than 256 KiB";
  return text.empty() || parse_acl(text) ? "" : "an ACL is not valid";
}

std::string content_problem(const Member& member) {
  switch (member.type) {
    case MemberType::kFile:
      return file_problem(member);
    case MemberType::kSymlink:
    case MemberType::kHardLink:
      return link_problem(member);
    case MemberType::kCharDevice:
    case MemberType::kBlockDevice:
      return device_problem(member);
    case MemberType::kDirectory:
    case MemberType::kFifo:
    case MemberType::kMoreExtents:
      return {};
  }
  return "its type is unknown";
}

}  // namespace

std::string path_problem(std::string_view path) {
  if (path.size() > limits::kMemberPathMaxBytes) return "it has " + std::to_string(path.size()) + " bytes";
  if (has_nul(path)) return "it has a NUL";
  if (path.empty()) return {};
  for (std::size_t at = 0;;) {
    const std::size_t end = path.find('/', at);
    const std::string problem = component_problem(path.substr(at, end - at));
    if (!problem.empty()) return problem;
    if (end == std::string_view::npos) return {};
    at = end + 1;
  }
}

std::string member_problem(const Member& member) {
  std::string problem = path_problem(member.path);
  if (!problem.empty()) return "its path is not allowed: " + problem;
  if (member.path.empty() && member.type != MemberType::kDirectory) return "the root is not a directory";
  if (member.mode > 07777) return "its mode has more than the permission bits";
  if (member.mtime_nanoseconds >= 1'000'000'000) return "its time has more than a second of nanoseconds";
  problem = content_problem(member);
  if (problem.empty()) problem = xattrs_problem(member.xattrs);
  if (problem.empty()) problem = acl_problem(member.acl_access);
  if (problem.empty()) problem = acl_problem(member.acl_default);
  return problem;
}

std::string extents_problem(const std::vector<MemberExtent>& extents, std::uint64_t size_bytes,
                            std::uint64_t stored_bytes) {
  std::string problem = extent_order_problem(extents, size_bytes);
  if (!problem.empty()) return problem;
  std::uint64_t sum = 0;
  for (const MemberExtent& extent : extents) sum += extent.length;
  return sum == stored_bytes ? "" : "its ranges of data are not of the length that is stored";
}

mode_t file_type_bits(MemberType type) {
  switch (type) {
    case MemberType::kFile:
      return S_IFREG;
    case MemberType::kDirectory:
      return S_IFDIR;
    case MemberType::kSymlink:
      return S_IFLNK;
    case MemberType::kCharDevice:
      return S_IFCHR;
    case MemberType::kBlockDevice:
      return S_IFBLK;
    case MemberType::kFifo:
      return S_IFIFO;
    case MemberType::kHardLink:
    case MemberType::kMoreExtents:
      return 0;
  }
  return 0;
}

std::string printable(std::string_view text) {
  std::string shown;
  for (const char c : text.substr(0, kShownBytesMax)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7f && byte != '\\') {
      shown += c;
      continue;
    }
    char escaped[5];
    std::snprintf(escaped, sizeof escaped, "\\%03o", byte);
    shown += escaped;
  }
  return text.size() > kShownBytesMax ? shown + "…" : shown;
}

}  // namespace vzv
