#include "core/pipeline/read_planner.h"

#include <algorithm>
#include <string>

namespace vzv {

Status ReadPlanner::know_up_to(std::uint64_t end) {
  while (known_.empty() || known_.back().end() < end) {
    const std::uint64_t from = known_.empty() ? position_ : known_.back().end();
    Result<std::vector<Extent>> extents = source_.extents(from, geometry_.size_bytes - from);
    if (!extents.ok()) return extents.status();
    std::uint64_t expected = from;
    for (const Extent& extent : *extents) {
      if (extent.offset != expected || extent.length == 0 || extent.length > geometry_.size_bytes - expected) break;
      expected = extent.end();
      if (!known_.empty() && known_.back().zero == extent.zero) {
        known_.back().length += extent.length;
      } else {
        known_.push_back(extent);
      }
    }
    if (expected == from) {
      return Status(Code::E_SOURCE_READ,
                    "finding the holes of " + source_.name() + ": it made no sense at offset " + std::to_string(from));
    }
  }
  return {};
}

std::uint64_t ReadPlanner::chunk_end() const {
  return std::min<std::uint64_t>(position_ + geometry_.chunk_size_bytes, geometry_.size_bytes);
}

bool ReadPlanner::known_zero(std::uint64_t end) const { return known_.front().zero && known_.front().end() >= end; }

Result<bool> ReadPlanner::pass_over_zero_chunks() {
  VZV_TRY(know_up_to(chunk_end()));
  if (!known_zero(chunk_end())) return false;
  // Whole chunks of the extent at once, however many; the last chunk of the volume may be short.
  const std::uint64_t zero_end = known_.front().end();
  const std::uint64_t to =
      zero_end == geometry_.size_bytes ? zero_end : zero_end - zero_end % geometry_.chunk_size_bytes;
  passed_over_ += to - position_;
  take(to);
  return true;
}

std::vector<Extent> ReadPlanner::take(std::uint64_t end) {
  std::vector<Extent> taken;
  while (position_ < end) {
    Extent& front = known_.front();
    const std::uint64_t length = std::min(front.end(), end) - position_;
    taken.push_back({position_, length, front.zero});
    position_ += length;
    if (front.length == length) {
      known_.pop_front();
    } else {
      front = {position_, front.length - length, front.zero};
    }
  }
  return taken;
}

Result<std::optional<ReadPlan>> ReadPlanner::next() {
  if (position_ == geometry_.size_bytes) return std::optional<ReadPlan>();
  ReadPlan plan;
  plan.first_chunk = position_ / geometry_.chunk_size_bytes;
  Result<bool> passed_over = pass_over_zero_chunks();
  if (!passed_over.ok()) return passed_over.status();
  if (*passed_over) return std::optional(std::move(plan));
  while (position_ < geometry_.size_bytes) {
    VZV_TRY(know_up_to(chunk_end()));
    if (plan.chunk_count > 0 && known_zero(chunk_end())) break;
    for (const Extent& piece : take(chunk_end())) {
      if (!plan.pieces.empty() && plan.pieces.back().zero == piece.zero) {
        plan.pieces.back().length += piece.length;
      } else {
        plan.pieces.push_back(piece);
      }
    }
    if (++plan.chunk_count * std::uint64_t{geometry_.chunk_size_bytes} >= read_bytes_) break;
  }
  return std::optional(std::move(plan));
}

}  // namespace vzv
