// The extended attributes of a member as a file system has them: those that are stored, and its ACLs unless they say no
// more than the mode. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "core/archive/member.h"
#include "core/base/status.h"

namespace vzv::fuse {

// Nothing where there is no such attribute. E_CATALOGUE_DAMAGED where an ACL is none.
Result<std::optional<std::string>> member_xattr(const Member& member, std::string_view name);

// Names, each with a NUL behind it.
std::string member_xattr_names(const Member& member);

}  // namespace vzv::fuse
