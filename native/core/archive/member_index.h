// Whether each member of an archive can stand behind those before it, so that whoever unpacks them in this order makes
// what a tree of them shows.
//
// Every path is there once; nothing lies below what is no directory; a directory comes before what lies in it, unless
// nothing tells of it at all; a hard link's target is a member before it that is no directory (docs/format.md,
// Catalogue). What takes a tar stream in refuses whatever breaks these rules, and so does what reads a catalogue.
//
// Holds a hash of each path under a key of its own, so that nobody can look for two paths that count as one: 16 bytes
// in a table that is seven sixteenths full at least, some 30 bytes a member. One thread at a time.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/archive/member.h"
#include "core/base/sha256.h"

namespace vzv {

class MemberIndex {
 public:
  MemberIndex();

  // Whether an earlier member has the path and is of the same kind: both directories, or both none. So tar tells again
  // of what it was told to read twice, and of where a file system is mounted.
  bool repeats(const Member& member);

  // Takes the member in. What it does that it must not, such as "lies below 'f', which is no directory"; empty where
  // that is nothing. Nothing can be added behind a member that was not taken in.
  std::string add(const Member& member);

 private:
  enum class Kind : std::uint8_t {
    kNone = 0,
    kDirectory = 1,
    kUntoldDirectory = 2,  // members lie in it, none tells of it
    kOther = 3,
  };
  // 126 bits of the hash and the kind in the two lowest bits; 0 where free.
  struct Slot {
    std::uint64_t high = 0;
    std::uint64_t low = 0;

    Kind kind() const { return static_cast<Kind>(low & 3); }
  };

  // With no kind.
  Slot key_of(std::string_view path);
  // Of this key, or the free one where it would be.
  Slot& find(const Slot& key);
  Kind kind_of(std::string_view path) { return find(key_of(path)).kind(); }
  std::string enter_directories(std::string_view path);
  std::string put(const Slot& key, Kind kind);
  void grow();

  Sha256 hash_;
  std::array<std::uint8_t, 16> secret_;
  std::vector<Slot> slots_;  // a power of two
  std::uint64_t used_ = 0;
};

}  // namespace vzv
