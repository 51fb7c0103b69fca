#include "core/collect/segment_cursor.h"

namespace vzv {

namespace {

// Entries between two looks at the token and two releases of pages: some megabytes.
constexpr std::uint64_t kStepEntries = 65'536;

}  // namespace

SegmentCursor::SegmentCursor(std::vector<const ListedSegment*> segments, const CancelToken& cancel)
    : segments_(std::move(segments)), cancel_(cancel) {
  for (std::size_t n = 0; n < segments_.size() && started_.ok(); ++n) started_ = add(n, 0);
}

Status SegmentCursor::damaged(std::size_t segment) const {
  return {Code::E_SEGMENT_DAMAGED,
          "the local copy of " + describe_segment(segments_[segment]->reader().id()) + " was changed"};
}

Status SegmentCursor::add(std::size_t segment, std::uint64_t number) {
  const SegmentView& view = segments_[segment]->view();
  if (number >= view.entries()) return {};
  const std::optional<ChunkKey> key = view.key(number);
  if (!key) return damaged(segment);
  heads_.push({*key, segment, number});
  return {};
}

Result<bool> SegmentCursor::next(std::vector<ListedEntry>& entries) {
  VZV_TRY(started_);
  entries.clear();
  while (!heads_.empty() && (entries.empty() || heads_.top().key == entries.front().entry.key())) {
    const Head head = heads_.top();
    heads_.pop();
    const std::optional<SegmentEntry> entry = segments_[head.segment]->view().entry(head.number);
    if (!entry || entry->key() != head.key) return damaged(head.segment);
    entries.push_back({head.segment, head.number, *entry});
    VZV_TRY(add(head.segment, head.number + 1));
    if (++passed_ % kStepEntries != 0) continue;
    VZV_TRY(cancel_.status());
    for (const ListedSegment* segment : segments_) segment->reader().release_pages();
  }
  return !entries.empty();
}

}  // namespace vzv
