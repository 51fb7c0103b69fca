#include "fuse/archive_trees.h"

namespace vzv::fuse {

std::size_t ArchiveTrees::add(std::unique_ptr<Archive> archive, Inode parent) {
  auto slot = std::make_unique<Slot>();
  slot->archive = std::move(archive);
  slot->parent = parent;
  slots_.push_back(std::move(slot));
  return slots_.size() - 1;
}

Result<std::shared_ptr<const ArchiveTree>> ArchiveTrees::tree(std::size_t ordinal) {
  Slot& slot = *slots_[ordinal];
  if (auto tree = take(slot)) return tree;
  const std::lock_guard lock(slot.build_mutex);
  if (auto tree = take(slot)) return tree;  // whoever had the lock made it
  if (!slot.damage.ok()) return slot.damage;
  Archive& archive = *slot.archive;
  Result<std::shared_ptr<const ArchiveTree>> built =
      ArchiveTree::build(archive.catalogue(), archive.data().size_bytes());
  if (!built.ok()) {
    if (built.status().code() == Code::E_CATALOGUE_DAMAGED) slot.damage = built.status();
    return built;
  }
  keep(ordinal, *built);
  return built;
}

std::shared_ptr<const ArchiveTree> ArchiveTrees::take(Slot& slot) {
  const std::lock_guard lock(mutex_);
  if (slot.tree != nullptr) recent_.splice(recent_.begin(), recent_, slot.recent);
  return slot.tree;
}

void ArchiveTrees::keep(std::size_t ordinal, std::shared_ptr<const ArchiveTree> tree) {
  const std::lock_guard lock(mutex_);
  Slot& slot = *slots_[ordinal];
  tree_bytes_ += tree->memory_bytes();
  slot.tree = std::move(tree);
  recent_.push_front(ordinal);
  slot.recent = recent_.begin();
  while (tree_bytes_ > kept_bytes_max_ && recent_.size() > 1) {
    Slot& oldest = *slots_[recent_.back()];
    tree_bytes_ -= oldest.tree->memory_bytes();
    oldest.tree.reset();
    recent_.pop_back();
  }
}

}  // namespace vzv::fuse
