#include "core/store/segment_check.h"

#include <algorithm>

#include "core/base/limits.h"

namespace vzv {

namespace {

constexpr std::uint32_t kIdBytes = 32;

Status damaged(std::string what) { return {Code::E_SEGMENT_DAMAGED, std::move(what)}; }

}  // namespace

void SegmentCheck::add(ByteSpan piece) {
  while (!piece.empty() && status_.ok()) {
    const std::uint32_t wanted = next_bytes();
    if (wanted == 0) {
      status_ = damaged("it goes on behind its filter");
      return;
    }
    if (split_.empty() && piece.size() >= wanted) {
      status_ = take(piece.first(wanted));
      piece = piece.subspan(wanted);
      continue;
    }
    const std::size_t more = std::min(wanted - split_.size(), piece.size());
    split_.insert(split_.end(), piece.begin(), piece.begin() + static_cast<std::ptrdiff_t>(more));
    piece = piece.subspan(more);
    if (split_.size() < wanted) return;
    status_ = take(split_);
    split_.clear();
  }
}

Status SegmentCheck::finish() const {
  if (!status_.ok()) return status_;
  if (!has_header_) return damaged("its header is cut short");
  return next_bytes() == 0 ? Status() : damaged("it is cut short");
}

std::uint32_t SegmentCheck::next_bytes() const {
  if (!has_header_) return kSegmentHeaderBytes;
  if (packs_ < header_.packs) return kIdBytes;
  if (entries_ < header_.entries) return kSegmentEntryBytes;
  return blocks_ < header_.filter_blocks() ? kFilterBlockBytes : 0;
}

Status SegmentCheck::take(ByteSpan record) {
  if (!has_header_) return take_header(record);
  if (packs_ < header_.packs) return take_pack(ByteReader(record).id());
  return entries_ < header_.entries ? take_entry(record) : take_filter_block(record);
}

Status SegmentCheck::take_header(ByteSpan record) {
  const Result<SegmentHeader> header = decode_segment_header(record);
  if (!header.ok()) return header.status();
  header_ = *header;
  has_header_ = true;
  if (header_.file_bytes() != file_bytes_) return damaged("its length is not the one that its header announces");
  if (header_.filter_blocks() * kFilterBlockBytes <= limits::kSegmentCheckFilterMaxBytes)
    filter_.emplace(header_.entries);
  return {};
}

Status SegmentCheck::take_pack(const Id& id) {
  ++packs_;
  if (previous_pack_ && *previous_pack_ >= id) return damaged("its pack ids are not in order");
  previous_pack_ = id;
  return {};
}

Status SegmentCheck::take_entry(ByteSpan record) {
  const std::uint64_t number = entries_++;
  const std::optional<SegmentEntry> entry = decode_segment_entry(record, header_.packs);
  if (!entry) return damaged("entry " + std::to_string(number) + " is not valid");
  if (previous_key_ && !(*previous_key_ < entry->key())) return damaged("its entries are not in order");
  previous_key_ = entry->key();
  if (filter_) filter_->add(entry->id);
  return {};
}

Status SegmentCheck::take_filter_block(ByteSpan record) {
  const std::uint64_t at = blocks_++ * kFilterBlockBytes;
  if (!filter_) return {};
  const ByteSpan needed = ByteSpan(filter_->bytes()).subspan(at, kFilterBlockBytes);
  // Bits that no entry asks for make lookups slower, not wrong.
  for (std::size_t n = 0; n < needed.size(); ++n) {
    if ((needed[n] & ~record[n]) != 0) return damaged("its filter does not know all of its entries");
  }
  return {};
}

}  // namespace vzv
