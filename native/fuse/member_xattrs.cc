#include "fuse/member_xattrs.h"

#include "core/archive/acl.h"
#include "fuse/acl_xattr.h"

namespace vzv::fuse {
namespace {

// The kernel's own names, which only the ACLs of a member have here.
bool reserved(std::string_view name) { return name.starts_with("system."); }

// Says no more than the mode; no file system keeps such an ACL, but tar writes it beside a default one.
bool trivial(std::string_view acl_access) {
  const auto entries = parse_acl(acl_access);
  return acl_access.empty() || (entries && entries->size() == 3);
}

Result<std::optional<std::string>> acl_value(std::string_view text) {
  if (text.empty()) return std::optional<std::string>();
  std::optional<std::string> value = acl_xattr(text);
  if (!value) return Status(Code::E_CATALOGUE_DAMAGED, "the ACL '" + printable(text) + "' is none");
  return value;
}

}  // namespace

Result<std::optional<std::string>> member_xattr(const Member& member, std::string_view name) {
  if (name == kAclAccessName) return acl_value(trivial(member.acl_access) ? "" : member.acl_access);
  if (name == kAclDefaultName) return acl_value(member.acl_default);
  for (const Xattr& xattr : member.xattrs) {
    if (xattr.name == name && !reserved(name)) return std::optional<std::string>(xattr.value);
  }
  return std::optional<std::string>();
}

std::string member_xattr_names(const Member& member) {
  std::string names;
  const auto add = [&names](std::string_view name) {
    names += name;
    names += '\0';
  };
  for (const Xattr& xattr : member.xattrs) {
    if (!reserved(xattr.name)) add(xattr.name);
  }
  if (!trivial(member.acl_access)) add(kAclAccessName);
  if (!member.acl_default.empty()) add(kAclDefaultName);
  return names;
}

}  // namespace vzv::fuse
