#include "core/pipeline/read_planner.h"

#include <algorithm>
#include <string>

namespace vzv {

Status ReadPlanner::check_region(const Range& region) const {
  const std::uint64_t size = geometry_.size_bytes;
  const char* why = nullptr;
  if (region.length == 0) {
    why = "is empty";
  } else if (region.offset > size || region.length > size - region.offset) {
    why = "does not lie within the disk";
  } else if (region.offset < position_) {
    why = "is not behind the one before it";
  } else if (region.offset % geometry_.chunk_size_bytes != 0 ||
             (region.end() % geometry_.chunk_size_bytes != 0 && region.end() != size)) {
    why = "does not begin and end where chunks do";
  }
  if (why == nullptr) return {};
  return Status(Code::E_SOURCE_BITMAP, "what changed on " + source_.name() + " makes no sense: the region of " +
                                           std::to_string(region.length) + " bytes at offset " +
                                           std::to_string(region.offset) + " " + why);
}

Result<bool> ReadPlanner::enter_region() {
  std::optional<Range> region;
  if (dirty_ == nullptr) {
    if (position_ < geometry_.size_bytes) region = {0, geometry_.size_bytes};
  } else if (!ended_) {
    Result<std::optional<Range>> next = dirty_->next();
    if (!next.ok()) return next.status();
    region = *next;
    if (region) VZV_TRY(check_region(*region));
  }
  ended_ = !region;
  const std::uint64_t begin = region ? region->offset : geometry_.size_bytes;
  unchanged_ += begin - position_;
  position_ = begin;
  region_end_ = region ? region->end() : begin;
  return !ended_;
}

Status ReadPlanner::know_up_to(std::uint64_t end) {
  while (known_.empty() || known_.back().end() < end) {
    const std::uint64_t from = known_.empty() ? position_ : known_.back().end();
    Result<std::vector<Extent>> extents = source_.extents(from, region_end_ - from);
    if (!extents.ok()) return extents.status();
    std::uint64_t expected = from;
    for (const Extent& extent : *extents) {
      if (extent.offset != expected || extent.length == 0 || extent.length > region_end_ - expected) break;
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

Result<std::uint64_t> ReadPlanner::pass_over_zero_chunks() {
  VZV_TRY(know_up_to(chunk_end()));
  if (!known_zero(chunk_end())) return std::uint64_t{0};
  // Whole chunks of the extent at once, however many; the last chunk of the volume may be short.
  const std::uint64_t from = position_;
  const std::uint64_t zero_end = known_.front().end();
  take(zero_end == region_end_ ? zero_end : zero_end - zero_end % geometry_.chunk_size_bytes);
  return (position_ - from + geometry_.chunk_size_bytes - 1) / geometry_.chunk_size_bytes;
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
  if (position_ == region_end_) {
    Result<bool> entered = enter_region();
    if (!entered.ok()) return entered.status();
    if (!*entered) return std::optional<ReadPlan>();
  }
  ReadPlan plan;
  plan.first_chunk = position_ / geometry_.chunk_size_bytes;
  Result<std::uint64_t> zero_chunks = pass_over_zero_chunks();
  if (!zero_chunks.ok()) return zero_chunks.status();
  if (*zero_chunks > 0) {
    plan.chunk_count = *zero_chunks;
    return std::optional(std::move(plan));
  }
  while (position_ < region_end_) {
    VZV_TRY(know_up_to(chunk_end()));
    if (plan.chunk_count > 0 && known_zero(chunk_end())) break;
    for (const Extent& piece : take(chunk_end())) {
      if (!plan.pieces.empty() && plan.pieces.back().zero == piece.zero) {
        plan.pieces.back().length += piece.length;
      } else {
        plan.pieces.push_back(piece);
      }
    }
    if (++plan.chunk_count * geometry_.chunk_size_bytes >= read_bytes_) break;
  }
  return std::optional(std::move(plan));
}

}  // namespace vzv
