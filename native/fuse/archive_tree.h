// The members of an archive as a tree: who is whose child, and what stat() tells of each.
//
// Made in one pass over the catalogue, then immutable. A member takes some 120 bytes: what is long or rarely asked for
// (extended attributes, ACLs, targets of links, extents) stays in the catalogue, where the member knows its record. Two
// trees of one catalogue number their members alike, so a tree can be dropped and made again under a mount.
//
// Where no member tells of the directory that others lie in, it is there nevertheless, root's and of mode 0755.
// Thread-safe.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "core/archive/catalogue.h"

namespace vzv::fuse {

using TreeIndex = std::uint32_t;

inline constexpr TreeIndex kTreeRoot = 0;

struct TreeMember {
  // Of a directory that no member tells of, there is no record.
  static constexpr std::uint64_t kNoRecord = UINT64_MAX;

  std::uint64_t record_offset = kNoRecord;  // in the catalogue
  std::uint64_t place = 0;                  // file: offset in the data; directory: of its children in the list of all
  std::uint64_t size_bytes = 0;             // file; symbolic link: of the target; directory: the number of children
  std::uint64_t stored_bytes = 0;
  std::int64_t mtime_seconds = 0;
  std::uint32_t mtime_nanoseconds = 0;
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::uint32_t device = 0;  // as the kernel's protocol has it
  std::uint32_t links = 0;
  TreeIndex parent = kTreeRoot;              // of a directory
  std::uint16_t mode = 0755;                 // permission bits
  MemberType type = MemberType::kDirectory;  // never kHardLink: those are names of other members
  bool sparse : 1 = false;
  bool has_xattrs : 1 = false;  // or ACLs

  bool directory() const { return type == MemberType::kDirectory; }
};

class ArchiveTree {
 public:
  // Reads the whole catalogue. E_CATALOGUE_DAMAGED where a member cannot stand behind those before it
  // (core/archive/member_index.h), or where the members do not make up data_bytes; errors of the store.
  static Result<std::shared_ptr<const ArchiveTree>> build(StreamReader& catalogue, std::uint64_t data_bytes);

  std::size_t size() const { return members_.size(); }
  // What it takes, about.
  std::uint64_t memory_bytes() const;

  // nullptr for a number that is none of this tree's.
  const TreeMember* find(TreeIndex index) const { return index < members_.size() ? &members_[index] : nullptr; }
  // nothing where there is no such name. REQUIRES: `directory` is the number of one
  std::optional<TreeIndex> find_child(TreeIndex directory, std::string_view name) const;

  struct Child {
    const char* name;  // with a NUL
    TreeIndex index;
  };
  // In the order of the archive. REQUIRES: position < the directory's number of children
  Child child(const TreeMember& directory, std::uint64_t position) const;

 private:
  friend class ArchiveTreeBuilder;

  struct Entry {
    std::uint64_t name;  // in names_
    TreeIndex parent;
    TreeIndex member;
  };

  std::string_view name_at(std::uint64_t name) const;
  // The slot of the entry of this name, or the free one where it would be. REQUIRES: slots_ is not full
  std::size_t slot_of(TreeIndex parent, std::string_view name) const;

  std::deque<TreeMember> members_;
  std::deque<Entry> entries_;
  std::vector<std::uint32_t> slots_;     // a hash table of entries: number plus one, 0 where free; a power of two
  std::vector<std::uint32_t> children_;  // entries by their directory
  // Each name is a byte of length, the bytes, a NUL. Its number is block << kNameBlockBits | offset.
  std::vector<std::unique_ptr<char[]>> name_blocks_;
};

}  // namespace vzv::fuse
