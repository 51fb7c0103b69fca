#include "core/archive/tar_header.h"

#include <algorithm>
#include <cstring>

#include "core/base/bytes.h"

namespace vzv {

namespace {

struct Field {
  std::size_t at;
  std::size_t length;
};
constexpr Field kName{0, 100};
constexpr Field kMode{100, 8};
constexpr Field kUid{108, 8};
constexpr Field kGid{116, 8};
constexpr Field kSize{124, 12};
constexpr Field kMtime{136, 12};
constexpr Field kChecksum{148, 8};
constexpr std::size_t kType = 156;
constexpr Field kLinkName{157, 100};
constexpr Field kMagic{257, 8};
constexpr Field kMajor{329, 8};
constexpr Field kMinor{337, 8};
constexpr Field kPrefix{345, 155};
// Of old GNU sparse members.
constexpr std::size_t kSparseEntries = 386;
constexpr std::size_t kSparseEntriesInHeader = 4;
constexpr std::size_t kSparseMoreInHeader = 482;
constexpr Field kSparseRealSize{483, 12};
constexpr std::size_t kSparseEntriesInBlock = 21;
constexpr std::size_t kSparseMoreInBlock = 504;
constexpr std::size_t kSparseNumberBytes = 12;

constexpr std::string_view kPosixMagic("ustar\00000", 8);

Status invalid(std::string what) { return {Code::E_ARCHIVE_INVALID, std::move(what)}; }

ByteSpan field_of(TarBlock block, Field field) { return block.subspan(field.at, field.length); }

std::string text_of(TarBlock block, Field field) {
  const ByteSpan bytes = field_of(block, field);
  return {bytes.begin(), std::find(bytes.begin(), bytes.end(), 0)};
}

// The first byte's second bit is the sign; the number is in two's complement, the highest byte first.
Result<std::int64_t> parse_base_256(ByteSpan field, std::string_view name) {
  const bool negative = (field[0] & 0x40) != 0;
  std::int64_t value = negative ? -1 : 0;
  for (std::size_t i = 0; i < field.size(); ++i) {
    const unsigned byte = i > 0 ? field[i] : negative ? field[i] : field[i] & 0x7fU;
    if (value > (INT64_MAX >> 8) || value < (INT64_MIN >> 8)) return invalid(std::string(name) + " is out of range");
    value = value * 256 + static_cast<std::int64_t>(byte);
  }
  return value;
}

// Not negative, and at most `max`.
Status parse_into(TarBlock block, Field field, std::string_view name, std::uint64_t max, std::uint64_t& out) {
  const Result<std::int64_t> value = parse_tar_number(field_of(block, field), name);
  if (!value.ok()) return value.status();
  if (*value < 0 || static_cast<std::uint64_t>(*value) > max) return invalid(std::string(name) + " is out of range");
  out = static_cast<std::uint64_t>(*value);
  return {};
}

Status check_sum(TarBlock block) {
  std::uint64_t stated = 0;
  VZV_TRY(parse_into(block, kChecksum, "the checksum", UINT32_MAX, stated));
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < block.size(); ++i) {
    const bool in_checksum = i >= kChecksum.at && i < kChecksum.at + kChecksum.length;
    sum += in_checksum ? ' ' : block[i];
  }
  return sum == stated ? Status() : invalid("the checksum of a header does not match");
}

Result<OldSparsePart> parse_old_sparse(TarBlock block, std::size_t at, std::size_t entries, std::size_t more_at) {
  OldSparsePart part;
  part.more = block[more_at] != 0;
  for (std::size_t i = 0; i < entries; ++i, at += 2 * kSparseNumberBytes) {
    // An entry without a length ends the list.
    if (block[at + kSparseNumberBytes] == 0) {
      if (part.more) return invalid("a sparse map goes on behind its end");
      break;
    }
    MemberExtent extent;
    VZV_TRY(parse_into(block, {at, kSparseNumberBytes}, "the offset of a sparse range", INT64_MAX, extent.offset));
    VZV_TRY(parse_into(block, {at + kSparseNumberBytes, kSparseNumberBytes}, "the length of a sparse range", INT64_MAX,
                       extent.length));
    part.extents.push_back(extent);
  }
  return part;
}

}  // namespace

bool is_end_block(TarBlock block) {
  return std::all_of(block.begin(), block.end(), [](std::uint8_t byte) { return byte == 0; });
}

Result<std::int64_t> parse_tar_number(ByteSpan field, std::string_view name) {
  if ((field[0] & 0x80) != 0) return parse_base_256(field, name);
  std::size_t at = 0;
  while (at < field.size() && field[at] == ' ') ++at;
  std::uint64_t value = 0;  // twelve octal digits are 36 bits
  for (; at < field.size() && field[at] >= '0' && field[at] <= '7'; ++at) value = value * 8 + (field[at] - '0');
  for (; at < field.size(); ++at) {
    if (field[at] != ' ' && field[at] != 0) return invalid(std::string(name) + " is not a number");
  }
  return static_cast<std::int64_t>(value);
}

Result<TarHeader> parse_tar_header(TarBlock block) {
  VZV_TRY(check_sum(block));
  TarHeader header;
  header.type = block[kType] == 0 ? '0' : static_cast<char>(block[kType]);
  header.name = text_of(block, kName);
  header.link_name = text_of(block, kLinkName);
  // GNU's own dialect keeps other things where ustar has the prefix.
  const ByteSpan magic = field_of(block, kMagic);
  if (std::memcmp(magic.data(), kPosixMagic.data(), magic.size()) == 0) {
    const std::string prefix = text_of(block, kPrefix);
    if (!prefix.empty()) header.name = prefix + "/" + header.name;
  }
  std::uint64_t mode = 0;
  VZV_TRY(parse_into(block, kMode, "the mode", UINT32_MAX, mode));
  header.mode = static_cast<std::uint32_t>(mode);
  VZV_TRY(parse_into(block, kUid, "the user id", INT64_MAX, header.uid));
  VZV_TRY(parse_into(block, kGid, "the group id", INT64_MAX, header.gid));
  VZV_TRY(parse_into(block, kSize, "the size", INT64_MAX, header.size_bytes));
  const Result<std::int64_t> mtime = parse_tar_number(field_of(block, kMtime), "the time");
  if (!mtime.ok()) return mtime.status();
  header.mtime_seconds = *mtime;
  if (header.type == '3' || header.type == '4') {
    VZV_TRY(parse_into(block, kMajor, "the major device number", UINT32_MAX, header.device_major));
    VZV_TRY(parse_into(block, kMinor, "the minor device number", UINT32_MAX, header.device_minor));
  }
  return header;
}

Result<OldSparsePart> parse_old_sparse_header(TarBlock block, std::uint64_t& real_size_bytes) {
  VZV_TRY(parse_into(block, kSparseRealSize, "the size of a sparse file", INT64_MAX, real_size_bytes));
  return parse_old_sparse(block, kSparseEntries, kSparseEntriesInHeader, kSparseMoreInHeader);
}

Result<OldSparsePart> parse_old_sparse_block(TarBlock block) {
  return parse_old_sparse(block, 0, kSparseEntriesInBlock, kSparseMoreInBlock);
}

}  // namespace vzv
