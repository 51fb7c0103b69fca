#include "fuse/mount_key.h"

#include <algorithm>
#include <optional>
#include <string_view>

#include "fuse/base64.h"

namespace vzv::fuse {
namespace {

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

// Goes through the values of the members of the outermost object that have this name and are strings. Knows no more of
// JSON than where strings and objects begin and end.
class Members {
 public:
  Members(std::span<char> json, std::string_view name) : json_(json), name_(name) {}

  // What stands between the quotes of the next one.
  std::optional<std::span<char>> next() {
    while (at_ < json_.size()) {
      const char c = json_[at_++];
      if (c == '"') {
        const std::span<char> text = string();
        const bool is_value = depth_ == 1 && before_ == ':' && is_named_;
        if (depth_ == 1 && before_ != ':') is_named_ = std::string_view(text.data(), text.size()) == name_;
        before_ = c;
        if (is_value) return text;
        continue;
      }
      if (c == '{' || c == '[') ++depth_;
      if (c == '}' || c == ']') --depth_;
      if (!is_space(c)) before_ = c;
    }
    return std::nullopt;
  }

 private:
  // Up to its closing quote, behind which it goes on.
  std::span<char> string() {
    const std::size_t begin = at_;
    while (at_ < json_.size() && json_[at_] != '"') at_ += json_[at_] == '\\' ? 2 : 1;
    const std::size_t end = std::min(at_, json_.size());
    at_ = end + 1;
    return json_.subspan(begin, end - begin);
  }

  const std::span<char> json_;
  const std::string_view name_;
  std::size_t at_ = 0;
  int depth_ = 0;
  char before_ = 0;        // the last character that is no space
  bool is_named_ = false;  // the last name of a member of the outermost object was the one that is looked for
};

Result<RepositoryKeysPtr> load(std::span<char> digits) {
  std::optional<Bytes> secret = decode_base64({digits.data(), digits.size()});
  std::fill(digits.begin(), digits.end(), kTakenDigit);
  if (!secret || secret->size() != SecretKey::kBytes) {
    if (secret) wipe(*secret);
    return Status(Code::E_ARGUMENT_INVALID, "the mount spec's field key is not base64 of 32 bytes");
  }
  Result<RepositoryKeysPtr> keys = RepositoryKeys::load(*secret);
  wipe(*secret);
  return keys;
}

}  // namespace

Result<RepositoryKeysPtr> take_key(std::span<char> json) {
  RepositoryKeysPtr keys;
  Members members(json, "key");
  // A second one is refused with the rest of the spec, but wiped as well.
  while (const std::optional<std::span<char>> digits = members.next()) {
    Result<RepositoryKeysPtr> loaded = load(*digits);
    if (!loaded.ok()) return loaded.status();
    keys = std::move(loaded).value();
  }
  return keys;
}

}  // namespace vzv::fuse
