#include "core/archive/member_index.h"

#include <cstring>

#include "core/base/bytes.h"
#include "core/base/file.h"
#include "core/base/limits.h"

namespace vzv {

namespace {

constexpr std::size_t kFirstSlots = 256;
constexpr std::uint64_t kKindBits = 3;

bool is_directory(const Member& member) { return member.type == MemberType::kDirectory; }

// REQUIRES: not the root
std::string_view parent_of(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? std::string_view() : path.substr(0, slash);
}

}  // namespace

MemberIndex::MemberIndex() : slots_(kFirstSlots) { random_bytes(secret_); }

MemberIndex::Slot MemberIndex::key_of(std::string_view path) {
  hash_.update(secret_);
  hash_.update(as_bytes(path));
  const Id id = hash_.finish();
  Slot key;
  std::memcpy(&key.high, id.bytes.data(), sizeof key.high);
  std::memcpy(&key.low, id.bytes.data() + sizeof key.high, sizeof key.low);
  key.low &= ~kKindBits;
  return key;
}

MemberIndex::Slot& MemberIndex::find(const Slot& key) {
  const std::size_t mask = slots_.size() - 1;
  std::size_t at = key.high & mask;
  while (slots_[at].kind() != Kind::kNone &&
         (slots_[at].high != key.high || (slots_[at].low & ~kKindBits) != key.low)) {
    at = (at + 1) & mask;
  }
  return slots_[at];
}

bool MemberIndex::repeats(const Member& member) {
  return kind_of(member.path) == (is_directory(member) ? Kind::kDirectory : Kind::kOther);
}

std::string MemberIndex::add(const Member& member) {
  std::string problem = enter_directories(member.path);
  if (!problem.empty()) return problem;
  const Slot key = key_of(member.path);
  switch (find(key).kind()) {
    case Kind::kNone:
      break;
    case Kind::kDirectory:
      return is_directory(member) ? "has the path of an earlier member" : "has the path of an earlier directory";
    case Kind::kUntoldDirectory:
      return is_directory(member) ? "is a directory that comes behind what lies in it"
                                  : "is no directory, and earlier members lie below it";
    case Kind::kOther:
      return is_directory(member) ? "is a directory, and an earlier member of its path is none"
                                  : "has the path of an earlier member";
  }
  if (member.type == MemberType::kHardLink && kind_of(member.link_target) != Kind::kOther) {
    return "is a hard link to '" + printable(member.link_target) + "', which is no earlier member or is a directory";
  }
  return put(key, is_directory(member) ? Kind::kDirectory : Kind::kOther);
}

// What the path lies in. All that a known directory lies in is known too, so most of the time one look is enough.
std::string MemberIndex::enter_directories(std::string_view path) {
  while (!path.empty()) {
    path = parent_of(path);
    const Slot key = key_of(path);
    const Kind kind = find(key).kind();
    if (kind == Kind::kOther) return "lies below '" + printable(path) + "', which is no directory";
    if (kind != Kind::kNone) return {};
    std::string problem = put(key, Kind::kUntoldDirectory);
    if (!problem.empty()) return problem;
  }
  return {};
}

std::string MemberIndex::put(const Slot& key, Kind kind) {
  if (used_ == limits::kArchivePathsMax) return "is one too many";
  if (used_ >= slots_.size() / 8 * 7) grow();
  find(key) = {key.high, key.low | static_cast<std::uint64_t>(kind)};
  ++used_;
  return {};
}

void MemberIndex::grow() {
  std::vector<Slot> before(slots_.size() * 2);
  before.swap(slots_);
  for (const Slot& slot : before) {
    if (slot.kind() != Kind::kNone) find({slot.high, slot.low & ~kKindBits}) = slot;
  }
}

}  // namespace vzv
