#include "core/archive/pax_header.h"

#include <charconv>

#include "core/base/limits.h"

namespace vzv {

namespace {

constexpr std::string_view kXattrPrefix = "SCHILY.xattr.";
constexpr std::string_view kSparsePrefix = "GNU.sparse.";

Status invalid(const std::string& what) { return {Code::E_ARCHIVE_INVALID, what}; }

Status not_valid(std::string_view keyword) {
  return invalid("the value of '" + printable(keyword) + "' in an extended header is not valid");
}

Status take_number(std::string_view keyword, std::string_view value, std::optional<std::uint64_t>& out) {
  out = parse_decimal(value);
  return out ? Status() : not_valid(keyword);
}

// Text that may stand in a path; an empty value takes an earlier one back.
Status take_text(std::string_view keyword, std::string_view value, std::optional<std::string>& out) {
  if (value.find('\0') != std::string_view::npos) return not_valid(keyword);
  out.reset();
  if (!value.empty()) out = value;
  return {};
}

// "-12.5" is half a second after -13.
std::optional<PaxTime> parse_time(std::string_view text) {
  const bool negative = text.starts_with('-');
  if (negative) text.remove_prefix(1);
  const std::size_t dot = text.find('.');
  const std::optional<std::uint64_t> whole = parse_decimal(text.substr(0, dot));
  if (!whole || *whole >= limits::kArchiveSizeMax) return std::nullopt;
  PaxTime time{static_cast<std::int64_t>(*whole), 0};
  bool below_nanoseconds = false;
  if (dot != std::string_view::npos) {
    std::uint32_t unit = 100'000'000;
    for (const char c : text.substr(dot + 1)) {
      if (c < '0' || c > '9') return std::nullopt;
      time.nanoseconds += unit * static_cast<std::uint32_t>(c - '0');
      if (unit == 0 && c != '0') below_nanoseconds = true;
      unit /= 10;
    }
  }
  if (!negative) return time;
  time.seconds = -time.seconds;
  if (below_nanoseconds) ++time.nanoseconds;  // at most 10^9
  if (time.nanoseconds > 0) {
    --time.seconds;
    time.nanoseconds = 1'000'000'000 - time.nanoseconds;
  }
  return time;
}

// GNU tar writes '=' and '%' in the name of an attribute as %3D and %25, since '=' ends a keyword.
std::string decode_xattr_name(std::string_view text) {
  std::string name;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const std::string_view code = text.substr(i, 3);
    if (code == "%3D" || code == "%25") {
      name += code == "%3D" ? '=' : '%';
      i += 2;
    } else {
      name += text[i];
    }
  }
  return name;
}

// "0,512,4096,512" into `map`.
Status parse_map(std::string_view text, std::vector<std::uint64_t>& map) {
  while (!text.empty()) {
    const std::size_t comma = text.find(',');
    const std::optional<std::uint64_t> number = parse_decimal(text.substr(0, comma));
    if (!number) return not_valid("GNU.sparse.map");
    map.push_back(*number);
    text = comma == std::string_view::npos ? std::string_view() : text.substr(comma + 1);
  }
  return {};
}

}  // namespace

std::optional<std::uint64_t> parse_decimal(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

Status PaxValues::take(std::string_view records) {
  while (!records.empty()) {
    const std::size_t space = records.find(' ');
    const std::optional<std::uint64_t> length =
        space == std::string_view::npos ? std::nullopt : parse_decimal(records.substr(0, space));
    if (!length || *length > records.size() || *length < space + 2 || records[*length - 1] != '\n') {
      return invalid("a record of an extended header has a wrong length");
    }
    const std::string_view record = records.substr(space + 1, *length - space - 2);
    const std::size_t equals = record.find('=');
    if (equals == std::string_view::npos || equals == 0) return invalid("a record of an extended header has no '='");
    VZV_TRY(take_record(record.substr(0, equals), record.substr(equals + 1)));
    records.remove_prefix(*length);
  }
  return {};
}

Status PaxValues::take_record(std::string_view keyword, std::string_view value) {
  if (keyword == "path") return take_text(keyword, value, path);
  if (keyword == "linkpath") return take_text(keyword, value, link_path);
  if (keyword == "size") return take_number(keyword, value, size_bytes);
  if (keyword == "uid") return take_number(keyword, value, uid);
  if (keyword == "gid") return take_number(keyword, value, gid);
  if (keyword == "mtime") {
    mtime = parse_time(value);
    return mtime ? Status() : not_valid(keyword);
  }
  if (keyword == "SCHILY.acl.access") acl_access = value;
  if (keyword == "SCHILY.acl.default") acl_default = value;
  if (keyword.starts_with(kXattrPrefix)) {
    xattrs.insert_or_assign(decode_xattr_name(keyword.substr(kXattrPrefix.size())), std::string(value));
  }
  if (keyword.starts_with(kSparsePrefix)) return take_sparse(keyword, value);
  return {};
}

Status PaxValues::take_sparse(std::string_view keyword, std::string_view value) {
  const std::string_view which = keyword.substr(kSparsePrefix.size());
  if (which == "major") return take_number(keyword, value, sparse.major);
  if (which == "minor") return take_number(keyword, value, sparse.minor);
  if (which == "name") return take_text(keyword, value, sparse.name);
  if (which == "size" || which == "realsize") return take_number(keyword, value, sparse.real_size_bytes);
  if (which == "numblocks") return take_number(keyword, value, sparse.entries);
  if (which == "map") {
    sparse.has_map = true;
    sparse.map.clear();
    return parse_map(value, sparse.map);
  }
  // Format 0.0 says an offset and a length in a record each, again and again.
  if (which != "offset" && which != "numbytes") return {};
  const bool length_is_due = sparse.map.size() % 2 == 1;
  std::optional<std::uint64_t> number;
  VZV_TRY(take_number(keyword, value, number));
  if (length_is_due != (which == "numbytes")) return invalid("a sparse map in an extended header is out of order");
  sparse.has_map = true;
  sparse.map.push_back(*number);
  return {};
}

}  // namespace vzv
