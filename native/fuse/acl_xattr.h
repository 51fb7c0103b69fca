// ACLs of an archive as the kernel has them in extended attributes. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace vzv::fuse {

inline constexpr std::string_view kAclAccessName = "system.posix_acl_access";
inline constexpr std::string_view kAclDefaultName = "system.posix_acl_default";

// The value of such an attribute (Linux, uapi/linux/posix_acl_xattr.h) from a catalogue's text. Nothing where that is
// none.
std::optional<std::string> acl_xattr(std::string_view text);

}  // namespace vzv::fuse
