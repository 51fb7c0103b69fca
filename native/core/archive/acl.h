// Access control lists of POSIX 1003.1e as the catalogue has them: text, numeric, in one spelling.
//
// "user::rw-,user:1000:r--,group::r--,mask::r--,other::---": the entries in the order in which the kernel wants them
// (owner, users, owning group, groups, mask, other; users and groups by ascending id), separated by commas; owner,
// group and other exactly once, the mask exactly once where a user or a group is named. tar writes them in its own way,
// with names where the system knows one, also where it was told to write numbers.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/status.h"

namespace vzv {

// The values that the kernel's posix_acl_xattr has for them.
enum class AclTag : std::uint16_t { kOwner = 1, kUser = 2, kOwningGroup = 4, kGroup = 8, kMask = 16, kOther = 32 };

struct AclEntry {
  AclTag tag = AclTag::kOwner;
  std::uint32_t id = 0;  // of a user or a group
  std::uint16_t permissions = 0;

  auto operator<=>(const AclEntry&) const = default;
};

// None where the text is not in the catalogue's spelling.
std::optional<std::vector<AclEntry>> parse_acl(std::string_view text);
// REQUIRES: entries that parse_acl() could answer.
std::string format_acl(const std::vector<AclEntry>& entries);

// Turns the text of SCHILY.acl.* into the catalogue's spelling. Looks names up in the system that tar ran on, and
// remembers them. One thread at a time.
class AclTranslator {
 public:
  using Lookup = std::function<std::optional<std::uint32_t>(AclTag tag, const std::string& name)>;

  // By the users and groups of this system.
  AclTranslator();
  explicit AclTranslator(Lookup lookup) : lookup_(std::move(lookup)) {}

  // E_ARCHIVE_INVALID where it is no ACL, or names whom nobody knows.
  Result<std::string> translate(std::string_view text);

 private:
  Result<AclEntry> translate_entry(std::string_view text);
  std::optional<std::uint32_t> id_of(AclTag tag, std::string_view name);

  Lookup lookup_;
  std::map<std::pair<AclTag, std::string>, std::optional<std::uint32_t>> known_;
};

}  // namespace vzv
