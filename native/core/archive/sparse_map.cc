#include "core/archive/sparse_map.h"

#include <algorithm>

#include "core/base/limits.h"

namespace vzv {

namespace {

// Two digits and two newlines: a count that would need more room than there is, is a lie.
constexpr std::uint64_t kEntryMinBytes = 4;

Status invalid(std::string what) { return {Code::E_ARCHIVE_INVALID, std::move(what)}; }

// Numbers a line each, from a window that is read byte by byte.
class NumberLines {
 public:
  NumberLines(TarWindow& window, std::uint64_t available) : window_(window), available_(available) {}

  std::uint64_t taken() const { return taken_; }

  Result<std::uint64_t> next() {
    std::uint64_t value = 0;
    for (unsigned digits = 0;; ++digits) {
      Result<std::uint8_t> byte = take();
      if (!byte.ok()) return byte.status();
      if (*byte == '\n' && digits > 0) return value;
      if (*byte < '0' || *byte > '9' || value > limits::kArchiveSizeMax) return invalid("a sparse map is not numbers");
      value = value * 10 + (*byte - '0');
    }
  }

  // What fills the last block up.
  Status skip_to_block() {
    while (taken_ % kTarBlockBytes != 0) {
      const Result<std::uint8_t> byte = take();
      if (!byte.ok()) return byte.status();
    }
    give_back();
    return {};
  }

 private:
  Result<std::uint8_t> take() {
    if (taken_ == available_) return invalid("a sparse map is longer than its member");
    if (at_ == bytes_.size()) {
      give_back();
      const Result<ByteSpan> bytes = window_.peek(1);
      if (!bytes.ok()) return bytes.status();
      bytes_ = *bytes;
      if (bytes_.empty()) return invalid("the stream was cut short in a sparse map");
    }
    ++taken_;
    return bytes_[at_++];
  }

  void give_back() {
    window_.consume(at_);
    bytes_ = {};
    at_ = 0;
  }

  TarWindow& window_;
  const std::uint64_t available_;
  std::uint64_t taken_ = 0;
  ByteSpan bytes_;
  std::size_t at_ = 0;
};

}  // namespace

std::uint64_t mapped_bytes(const std::vector<MemberExtent>& ranges, std::uint64_t available) {
  std::uint64_t sum = 0;
  for (const MemberExtent& range : ranges) {
    if (range.length == 0) continue;
    if (sum % kTarBlockBytes != 0 || range.length > available - sum) return available;
    sum += range.length;
  }
  return sum;
}

Result<std::vector<MemberExtent>> check_sparse_map(std::vector<MemberExtent> ranges, std::uint64_t size_bytes,
                                                   std::uint64_t stored_bytes) {
  std::size_t kept = 0;
  std::uint64_t end = 0;
  std::uint64_t sum = 0;
  for (const MemberExtent& range : ranges) {
    if (range.offset > size_bytes || range.length > size_bytes - range.offset) {
      return invalid("its sparse map goes beyond its size");
    }
    if (range.length == 0) continue;
    if (range.offset < end) return invalid("its sparse map overlaps or is out of order");
    const bool touches = kept > 0 && range.offset == end;
    if (touches) {
      ranges[kept - 1].length += range.length;
    } else {
      ranges[kept++] = range;
    }
    end = range.offset + range.length;
    sum += range.length;
  }
  if (sum != stored_bytes) return invalid("its sparse map is not of the length that is stored");
  ranges.resize(kept);
  return ranges;
}

Result<std::vector<MemberExtent>> sparse_ranges(const std::vector<std::uint64_t>& numbers, std::uint64_t entries) {
  if (numbers.size() % 2 != 0 || numbers.size() / 2 != entries) {
    return invalid("its sparse map has not as many entries as it says");
  }
  std::vector<MemberExtent> ranges(numbers.size() / 2);
  for (std::size_t i = 0; i < ranges.size(); ++i) ranges[i] = {numbers[2 * i], numbers[2 * i + 1]};
  return ranges;
}

Result<std::uint64_t> read_sparse_map(TarWindow& window, std::uint64_t available, std::vector<MemberExtent>& ranges) {
  NumberLines lines(window, available);
  const Result<std::uint64_t> count = lines.next();
  if (!count.ok()) return count.status();
  if (*count > limits::kSparseExtentsMax || *count > available / kEntryMinBytes) {
    return invalid("its sparse map says that it has " + std::to_string(*count) + " entries");
  }
  for (std::uint64_t i = 0; i < *count; ++i) {
    const Result<std::uint64_t> offset = lines.next();
    if (!offset.ok()) return offset.status();
    const Result<std::uint64_t> length = lines.next();
    if (!length.ok()) return length.status();
    ranges.push_back({*offset, *length});
  }
  VZV_TRY(lines.skip_to_block());
  return lines.taken();
}

}  // namespace vzv
