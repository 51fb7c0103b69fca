#include "core/archive/acl.h"

#include <grp.h>
#include <pwd.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "core/archive/member.h"
#include "core/base/limits.h"

namespace vzv {

namespace {

// A user or group entry of a large database may be as long; getpwnam_r says ERANGE where it is not enough.
constexpr std::size_t kDatabaseBufferBytes = 64 * 1024;
// Names that are remembered. Beyond it each is looked up again.
constexpr std::size_t kKnownMax = 4'096;

constexpr std::string_view kPermissions = "rwx";

bool has_id(AclTag tag) { return tag == AclTag::kUser || tag == AclTag::kGroup; }

std::optional<std::uint32_t> number(std::string_view text) {
  std::uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// "user" with or without somebody named, "group", "mask", "other"; one letter is enough, as for setfacl.
std::optional<AclTag> tag_of(std::string_view word, bool named) {
  if (word == "user" || word == "u") return named ? AclTag::kUser : AclTag::kOwner;
  if (word == "group" || word == "g") return named ? AclTag::kGroup : AclTag::kOwningGroup;
  if (named) return std::nullopt;
  if (word == "mask" || word == "m") return AclTag::kMask;
  if (word == "other" || word == "o") return AclTag::kOther;
  return std::nullopt;
}

std::optional<std::uint16_t> permissions_of(std::string_view text) {
  if (text.size() != kPermissions.size()) return std::nullopt;
  unsigned bits = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == kPermissions[i]) {
      bits |= 4U >> i;
    } else if (text[i] != '-') {
      return std::nullopt;
    }
  }
  return static_cast<std::uint16_t>(bits);
}

// "user", "1000", "r--"
std::optional<std::array<std::string_view, 3>> fields_of(std::string_view entry) {
  const std::size_t first = entry.find(':');
  const std::size_t second = first == std::string_view::npos ? first : entry.find(':', first + 1);
  if (second == std::string_view::npos) return std::nullopt;
  return std::array{entry.substr(0, first), entry.substr(first + 1, second - first - 1), entry.substr(second + 1)};
}

std::string_view word_of(AclTag tag) {
  switch (tag) {
    case AclTag::kOwner:
    case AclTag::kUser:
      return "user";
    case AclTag::kOwningGroup:
    case AclTag::kGroup:
      return "group";
    case AclTag::kMask:
      return "mask";
    case AclTag::kOther:
      return "other";
  }
  return "other";
}

// Whether the entries, in ascending order and each once, make up an ACL that the kernel takes.
bool is_complete(const std::vector<AclEntry>& entries) {
  unsigned seen = 0;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const bool ascending =
        i == 0 || std::pair(entries[i - 1].tag, entries[i - 1].id) < std::pair(entries[i].tag, entries[i].id);
    if (!ascending) return false;
    seen |= static_cast<unsigned>(entries[i].tag);
  }
  constexpr unsigned kNeeded = 1 | 4 | 32;
  const bool names_somebody = (seen & (2 | 8)) != 0;
  return (seen & kNeeded) == kNeeded && (!names_somebody || (seen & 16) != 0);
}

std::optional<std::uint32_t> look_up(AclTag tag, const std::string& name) {
  std::string buffer(kDatabaseBufferBytes, '\0');
  if (tag == AclTag::kUser) {
    passwd entry{};
    passwd* found = nullptr;
    if (::getpwnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found) != 0 || !found) return std::nullopt;
    return found->pw_uid;
  }
  group entry{};
  group* found = nullptr;
  if (::getgrnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found) != 0 || !found) return std::nullopt;
  return found->gr_gid;
}

Status not_an_acl() { return {Code::E_ARCHIVE_INVALID, "its ACL is not valid"}; }

std::string_view trimmed(std::string_view text) {
  text = text.substr(0, text.find('#'));
  const std::size_t begin = text.find_first_not_of(" \t");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t") - begin + 1);
}

}  // namespace

std::string format_acl(const std::vector<AclEntry>& entries) {
  std::string text;
  for (const AclEntry& entry : entries) {
    if (!text.empty()) text += ',';
    text += word_of(entry.tag);
    text += ':';
    if (has_id(entry.tag)) text += std::to_string(entry.id);
    text += ':';
    for (unsigned i = 0; i < kPermissions.size(); ++i)
      text += (entry.permissions & (4U >> i)) != 0 ? kPermissions[i] : '-';
  }
  return text;
}

std::optional<std::vector<AclEntry>> parse_acl(std::string_view text) {
  std::vector<AclEntry> entries;
  std::string_view left = text;
  for (bool more = true; more;) {
    const std::size_t comma = left.find(',');
    const auto fields = fields_of(left.substr(0, comma));
    if (!fields) return std::nullopt;
    const auto& [word, who, allowed] = *fields;
    const auto tag = tag_of(word, !who.empty());
    const auto permissions = permissions_of(allowed);
    const auto id = who.empty() ? std::optional<std::uint32_t>(0) : number(who);
    if (!tag || !permissions || !id) return std::nullopt;
    entries.push_back({*tag, *id, *permissions});
    more = comma != std::string_view::npos;
    if (more) left.remove_prefix(comma + 1);
  }
  if (!is_complete(entries) || format_acl(entries) != text) return std::nullopt;
  return entries;
}

AclTranslator::AclTranslator() : lookup_(look_up) {}

Result<std::string> AclTranslator::translate(std::string_view text) {
  if (text.size() > limits::kAclTextMaxBytes) return Status(Code::E_ARCHIVE_INVALID, "an ACL is larger than 256 KiB");
  std::vector<AclEntry> entries;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find_first_of(",\n"), text.size());
    const std::string_view entry = trimmed(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (entry.empty()) continue;
    const Result<AclEntry> translated = translate_entry(entry);
    if (!translated.ok()) return translated.status();
    entries.push_back(*translated);
  }
  std::sort(entries.begin(), entries.end());
  if (!is_complete(entries)) return not_an_acl();
  return format_acl(entries);
}

Result<AclEntry> AclTranslator::translate_entry(std::string_view text) {
  const auto fields = fields_of(text);
  if (!fields) return not_an_acl();
  const auto& [word, who, allowed] = *fields;
  const auto tag = tag_of(word, !who.empty());
  const auto permissions = permissions_of(allowed.substr(0, kPermissions.size()));
  if (!tag || !permissions) return not_an_acl();
  if (!has_id(*tag)) return AclEntry{*tag, 0, *permissions};
  const auto id = id_of(*tag, who);
  if (id) return AclEntry{*tag, *id, *permissions};
  return Status(Code::E_ARCHIVE_INVALID, "its ACL names '" + printable(who) + "', whom this system does not know");
}

std::optional<std::uint32_t> AclTranslator::id_of(AclTag tag, std::string_view name) {
  if (const auto id = number(name)) return id;
  const std::pair key(tag, std::string(name));
  const auto known = known_.find(key);
  if (known != known_.end()) return known->second;
  const auto id = key.second.find('\0') == std::string::npos ? lookup_(tag, key.second) : std::nullopt;
  if (known_.size() < kKnownMax) known_.emplace(key, id);
  return id;
}

}  // namespace vzv
