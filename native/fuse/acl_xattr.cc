#include "fuse/acl_xattr.h"

#include "core/archive/acl.h"
#include "core/base/bytes.h"

namespace vzv::fuse {
namespace {

constexpr std::uint32_t kVersion = 2;
constexpr std::uint32_t kNobody = 0xffffffff;  // stands where an entry names nobody

}  // namespace

std::optional<std::string> acl_xattr(std::string_view text) {
  const std::optional<std::vector<AclEntry>> entries = parse_acl(text);
  if (!entries) return std::nullopt;
  Bytes value;
  ByteWriter writer(value);
  writer.u32(kVersion);
  for (const AclEntry& entry : *entries) {
    writer.u16(static_cast<std::uint16_t>(entry.tag));
    writer.u16(entry.permissions);
    writer.u32(entry.tag == AclTag::kUser || entry.tag == AclTag::kGroup ? entry.id : kNobody);
  }
  return std::string(value.begin(), value.end());
}

}  // namespace vzv::fuse
