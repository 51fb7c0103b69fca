#include "core/pipeline/discard_tracker.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "core/base/limits.h"

namespace vzv {

void DiscardTracker::add(Range range, Durability durability) {
  std::lock_guard lock(mutex_);
  if (!waiting_.empty()) {
    Waiting& last = waiting_.back();
    const bool is_alike = last.durability == durability || (last.durability.reached() && durability.reached());
    if (last.range.end() == range.offset && is_alike) {
      last.range.length += range.length;
      return;
    }
  }
  if (waiting_.size() >= limits::kDiscardsWaitingMax) waiting_.pop_front();
  waiting_.push_back({range, std::move(durability)});
}

void DiscardTracker::join_followers(Entry entry) {
  entry->durability = Durability();
  for (Entry next = std::next(entry); next != waiting_.end(); next = waiting_.erase(next)) {
    if (next->range.offset != entry->range.end() || !next->durability.reached()) return;
    entry->range.length += next->range.length;
  }
}

std::optional<Range> DiscardTracker::cut(Entry entry) {
  constexpr std::uint64_t kGranule = limits::kDiscardGranuleBytes;
  const Range range = entry->range;
  const std::uint64_t from = (range.offset + kGranule - 1) / kGranule * kGranule;
  const std::uint64_t end = range.end() == size_bytes_ ? size_bytes_ : range.end() / kGranule * kGranule;
  if (from >= end) return std::nullopt;
  const Range piece{from, std::min(end - from, limits::kDiscardMaxBytes)};
  if (from > range.offset) waiting_.insert(entry, {{range.offset, from - range.offset}, Durability()});
  if (piece.end() < range.end()) {
    entry->range = {piece.end(), range.end() - piece.end()};
  } else {
    waiting_.erase(entry);
  }
  return piece;
}

std::optional<Range> DiscardTracker::next() {
  std::lock_guard lock(mutex_);
  for (Entry entry = waiting_.begin(); entry != waiting_.end(); ++entry) {
    if (!entry->durability.reached()) continue;
    join_followers(entry);
    if (std::optional<Range> piece = cut(entry)) return piece;
  }
  return std::nullopt;
}

}  // namespace vzv
