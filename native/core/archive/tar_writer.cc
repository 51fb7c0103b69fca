#include "core/archive/tar_writer.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <string>
#include <string_view>

#include "core/base/limits.h"

namespace vzv {

namespace {

// What the classic header's octal fields hold.
constexpr std::uint64_t kOctal7Max = 07777777;
constexpr std::uint64_t kOctal11Max = 077777777777;
constexpr std::size_t kNameFieldBytes = 100;
// Stands in a field whose number is told by the pax header: nobody's, for readers that do not know pax headers.
constexpr std::uint64_t kNobody = 65'534;

// "23 mtime=1795321034.5\n": a record tells its own length, with the digits of it.
void put_record(std::string& out, std::string_view key, std::string_view value) {
  const std::size_t rest = key.size() + value.size() + 3;  // ' ', '=', newline
  std::size_t length = rest + 1;
  while (rest + std::to_string(length).size() > length) ++length;
  out += std::to_string(length);
  out += ' ';
  out += key;
  out += '=';
  out += value;
  out += '\n';
}

// A comment that takes exactly so many bytes. REQUIRES: at least 12
void put_comment(std::string& out, std::size_t length) {
  const std::string prefix = std::to_string(length) + " comment=";
  out += prefix;
  out.append(length - prefix.size() - 1, ' ');
  out += '\n';
}

// '=' would end the keyword; GNU tar writes it and '%' as URLs do (xheader.c, xattr_encode_keyword).
std::string xattr_keyword(std::string_view name) {
  std::string keyword = "SCHILY.xattr.";
  for (const char c : name) {
    if (c == '=') {
      keyword += "%3D";
    } else if (c == '%') {
      keyword += "%25";
    } else {
      keyword += c;
    }
  }
  return keyword;
}

std::string member_name(const Member& member) {
  std::string name = "./" + member.path;
  if (member.type == MemberType::kDirectory && !member.path.empty()) name += '/';
  return name;
}

std::string link_name(const Member& member) {
  return member.type == MemberType::kHardLink ? "./" + member.link_target : member.link_target;
}

// Down from the true time as the catalogue has it, towards zero as pax has it: 1.5 s before 1970 is -2 and 500,000,000
// ns there, "-1.5" here.
std::string pax_time(const Member& member) {
  std::uint64_t nanoseconds = member.mtime_nanoseconds;
  const bool negative = member.mtime_seconds < 0;
  std::uint64_t seconds = negative ? 0 - static_cast<std::uint64_t>(member.mtime_seconds)
                                   : static_cast<std::uint64_t>(member.mtime_seconds);
  if (negative && nanoseconds > 0) {
    --seconds;
    nanoseconds = 1'000'000'000 - nanoseconds;
  }
  std::string text = (negative ? "-" : "") + std::to_string(seconds);
  if (nanoseconds == 0) return text;
  std::string fraction = std::to_string(nanoseconds);
  fraction.insert(0, 9 - fraction.size(), '0');
  fraction.erase(fraction.find_last_not_of('0') + 1);
  return text + "." + fraction;
}

bool is_device(const Member& member) {
  return member.type == MemberType::kCharDevice || member.type == MemberType::kBlockDevice;
}

// What the headers tell as the member's length: of a sparse one, that of what stands behind the header.
std::uint64_t told_bytes(const Member& member, const TarShape& shape) {
  return shape.map_bytes > 0 ? shape.map_bytes + shape.data_bytes : member.size_bytes;
}

// What the member needs of a pax header; empty where it needs none.
std::string pax_records(const Member& member, const TarShape& shape) {
  std::string out;
  const std::string name = member_name(member);
  if (shape.map_bytes > 0) {
    put_record(out, "GNU.sparse.major", "1");
    put_record(out, "GNU.sparse.minor", "0");
    put_record(out, "GNU.sparse.name", name);
    put_record(out, "GNU.sparse.realsize", std::to_string(member.size_bytes));
  } else if (name.size() > kNameFieldBytes) {
    put_record(out, "path", name);
  }
  const std::string link = link_name(member);
  if (link.size() > kNameFieldBytes) put_record(out, "linkpath", link);
  const std::uint64_t size_bytes = told_bytes(member, shape);
  if (size_bytes > kOctal11Max) put_record(out, "size", std::to_string(size_bytes));
  if (member.uid > kOctal7Max) put_record(out, "uid", std::to_string(member.uid));
  if (member.gid > kOctal7Max) put_record(out, "gid", std::to_string(member.gid));
  if (member.mtime_nanoseconds > 0 || member.mtime_seconds < 0 ||
      static_cast<std::uint64_t>(member.mtime_seconds) > kOctal11Max) {
    put_record(out, "mtime", pax_time(member));
  }
  if (!member.acl_access.empty()) put_record(out, "SCHILY.acl.access", member.acl_access);
  if (!member.acl_default.empty()) put_record(out, "SCHILY.acl.default", member.acl_default);
  for (const Xattr& xattr : member.xattrs) put_record(out, xattr_keyword(xattr.name), xattr.value);
  return out;
}

char type_flag(MemberType type) {
  switch (type) {
    case MemberType::kHardLink:
      return '1';
    case MemberType::kSymlink:
      return '2';
    case MemberType::kCharDevice:
      return '3';
    case MemberType::kBlockDevice:
      return '4';
    case MemberType::kDirectory:
      return '5';
    case MemberType::kFifo:
      return '6';
    case MemberType::kFile:
    case MemberType::kMoreExtents:
      return '0';
  }
  return '0';
}

// The classic header, POSIX 1003.1-1990 ("ustar").
class Header {
 public:
  explicit Header(char type) {
    bytes_[156] = static_cast<std::uint8_t>(type);
    text(257, 8, std::string_view("ustar\00000", 8));
  }
  // Cut where it is too long.
  void text(std::size_t at, std::size_t width, std::string_view value) {
    std::memcpy(bytes_.data() + at, value.data(), std::min(width, value.size()));
  }
  // With a NUL behind it. REQUIRES: it fits
  void octal(std::size_t at, std::size_t width, std::uint64_t value) {
    for (std::size_t i = width - 1; i-- > 0; value >>= 3) bytes_[at + i] = static_cast<std::uint8_t>('0' + (value & 7));
  }
  void append_to(Bytes& out) {
    std::memset(bytes_.data() + 148, ' ', 8);
    std::uint64_t sum = 0;
    for (const std::uint8_t byte : bytes_) sum += byte;
    octal(148, 7, sum);
    out.insert(out.end(), bytes_.begin(), bytes_.end());
  }

 private:
  std::array<std::uint8_t, kTarBlockBytes> bytes_{};
};

void put_pax_header(Bytes& out, const std::string& records) {
  Header header('x');
  header.text(0, kNameFieldBytes, "././@PaxHeader");
  header.octal(100, 8, 0644);
  header.octal(108, 8, 0);
  header.octal(116, 8, 0);
  header.octal(124, 12, records.size());
  header.octal(136, 12, 0);
  header.append_to(out);
  out.insert(out.end(), records.begin(), records.end());
  out.resize(tar_blocks(out.size()));
}

void put_header(Bytes& out, const Member& member, const TarShape& shape) {
  Header header(type_flag(member.type));
  const std::uint64_t size_bytes = told_bytes(member, shape);
  const auto seconds = static_cast<std::uint64_t>(member.mtime_seconds < 0 ? 0 : member.mtime_seconds);
  // As GNU tar does: a reader that does not know the format makes no file of the right name with the map in it.
  header.text(0, kNameFieldBytes, (shape.map_bytes > 0 ? "GNUSparseFile.0/" : "") + member_name(member));
  header.octal(100, 8, member.mode);
  header.octal(108, 8, member.uid > kOctal7Max ? kNobody : member.uid);
  header.octal(116, 8, member.gid > kOctal7Max ? kNobody : member.gid);
  header.octal(124, 12, size_bytes > kOctal11Max ? 0 : size_bytes);
  header.octal(136, 12, std::min(seconds, kOctal11Max));
  header.text(157, kNameFieldBytes, link_name(member));
  if (is_device(member)) {
    header.octal(329, 8, member.device_major);
    header.octal(337, 8, member.device_minor);
  }
  header.append_to(out);
}

}  // namespace

TarShape tar_shape(const Member& member, const TarMap& map, std::uint64_t tar_offset) {
  TarShape shape;
  const bool file = member.type == MemberType::kFile;
  const bool plain = !member.sparse && (member.size_bytes == 0 || member.size_bytes >= limits::kTarPlainFileMinBytes);
  if (file) shape.data_bytes = map.data_bytes();
  if (file && !plain) {
    shape.map_bytes = tar_blocks(map.text_bytes());
    shape.data_bytes = (shape.data_bytes + kTarRecordBytes - 1) / kTarRecordBytes * kTarRecordBytes;
  }
  const std::string records = pax_records(member, shape);
  shape.header_bytes = kTarBlockBytes;
  if (!records.empty()) shape.header_bytes += kTarBlockBytes + tar_blocks(records.size());
  if (shape.data_bytes == 0) return shape;

  const std::uint64_t past = (tar_offset + shape.header_bytes + shape.map_bytes) % kTarRecordBytes;
  if (past == 0) return shape;
  std::uint64_t fill = kTarRecordBytes - past;
  // A pax header that is there for its comment alone takes two blocks at least.
  if (records.empty() && fill < 2 * kTarBlockBytes) fill += kTarRecordBytes;
  shape.header_bytes += fill;
  return shape;
}

Bytes tar_member_header(const Member& member, const TarShape& shape) {
  Bytes out;
  out.reserve(shape.header_bytes);
  if (shape.header_bytes > kTarBlockBytes) {
    std::string records = pax_records(member, shape);
    const std::uint64_t room = shape.header_bytes - 2 * kTarBlockBytes;
    if (tar_blocks(records.size()) < room) put_comment(records, room - records.size());
    put_pax_header(out, records);
  }
  put_header(out, member, shape);
  return out;
}

}  // namespace vzv
