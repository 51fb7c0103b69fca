#include "fuse/archive_tree.h"

#include "fuse/archive_tree_builder.h"
#include "fuse/name_hash.h"

namespace vzv::fuse {

Result<std::shared_ptr<const ArchiveTree>> ArchiveTree::build(StreamReader& catalogue, std::uint64_t data_bytes) {
  ArchiveTreeBuilder builder;
  CatalogueReader reader(catalogue);
  CatalogueEntry entry;
  std::uint64_t data_end = 0;
  for (;;) {
    const Result<bool> more = reader.next(entry);
    if (!more.ok()) return more.status();
    if (!*more) break;
    data_end = entry.data_offset + entry.member.stored_bytes;
    if (data_end > data_bytes) break;
    VZV_TRY(builder.add(entry));
  }
  if (data_end != data_bytes) {
    return Status(Code::E_CATALOGUE_DAMAGED, "the members of the catalogue do not make up the " +
                                                 std::to_string(data_bytes) + " bytes of the archive's data");
  }
  return builder.finish();
}

std::uint64_t ArchiveTree::memory_bytes() const {
  return members_.size() * sizeof(TreeMember) + entries_.size() * sizeof(Entry) +
         (slots_.size() + children_.size()) * sizeof(std::uint32_t) + (name_blocks_.size() << kNameBlockBits);
}

std::string_view ArchiveTree::name_at(std::uint64_t name) const {
  const char* at = name_blocks_[name >> kNameBlockBits].get() + (name & (kNameBlockBytes - 1));
  return {at + 1, static_cast<unsigned char>(*at)};
}

std::size_t ArchiveTree::slot_of(TreeIndex parent, std::string_view name) const {
  const std::size_t mask = slots_.size() - 1;
  std::size_t at = name_hash(parent, name) & mask;
  while (slots_[at] != 0) {
    const Entry& entry = entries_[slots_[at] - 1];
    if (entry.parent == parent && name_at(entry.name) == name) break;
    at = (at + 1) & mask;
  }
  return at;
}

std::optional<TreeIndex> ArchiveTree::find_child(TreeIndex directory, std::string_view name) const {
  const std::uint32_t number = slots_[slot_of(directory, name)];
  return number == 0 ? std::nullopt : std::optional(entries_[number - 1].member);
}

ArchiveTree::Child ArchiveTree::child(const TreeMember& directory, std::uint64_t position) const {
  const Entry& entry = entries_[children_[directory.place + position]];
  return {name_at(entry.name).data(), entry.member};
}

}  // namespace vzv::fuse
