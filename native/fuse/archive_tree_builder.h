// Makes an ArchiveTree from members in the order of the catalogue, and refuses those that cannot stand behind the ones
// before them: the rules of core/archive/member_index.h, which this has the names themselves to check with. One thread.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "fuse/archive_tree.h"

namespace vzv::fuse {

inline constexpr unsigned kNameBlockBits = 18;
inline constexpr std::uint64_t kNameBlockBytes = 1ULL << kNameBlockBits;

class ArchiveTreeBuilder {
 public:
  ArchiveTreeBuilder();

  // E_CATALOGUE_DAMAGED naming the member.
  Status add(const CatalogueEntry& entry);
  // Nothing can be added afterwards.
  std::shared_ptr<const ArchiveTree> finish();

 private:
  // A directory on the way to the member before: its path's length, its number.
  struct Step {
    std::size_t path_bytes;
    TreeIndex directory;
  };

  Result<TreeIndex> directory_of(std::string_view path);
  Result<TreeIndex> enter(TreeIndex parent, std::string_view name);
  std::optional<TreeIndex> find(std::string_view path) const;
  // The member that the entry tells of, or that its hard link names.
  Result<TreeIndex> member_of(TreeIndex parent, const CatalogueEntry& entry);
  bool is_full() const;
  void add_entry(TreeIndex parent, std::string_view name, TreeIndex member);
  std::uint64_t keep_name(std::string_view name);
  void grow_slots();

  std::shared_ptr<ArchiveTree> tree_ = std::make_shared<ArchiveTree>();
  std::uint64_t names_used_ = kNameBlockBytes;  // of the last block
  std::string path_;                            // of the directory of the member before
  std::vector<Step> steps_;                     // to it
};

}  // namespace vzv::fuse
