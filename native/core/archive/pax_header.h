// The records of a pax extended header ("27 mtime=1795000000.123\n"): POSIX pax, "pax Extended Header", with the
// keywords of GNU tar and star for what POSIX has no word for.
//
// Takes text of any origin, whose length the caller has bounded. Keywords that mean nothing to a backup (names of
// owners, access times, character sets) are passed over, as tar does. One thread at a time.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/archive/member.h"
#include "core/base/status.h"

namespace vzv {

struct PaxTime {
  std::int64_t seconds = 0;
  std::uint32_t nanoseconds = 0;
};

// What is absent is as the member's header says.
struct PaxValues {
  std::optional<std::string> path;
  std::optional<std::string> link_path;
  std::optional<std::uint64_t> size_bytes;
  std::optional<std::uint64_t> uid;
  std::optional<std::uint64_t> gid;
  std::optional<PaxTime> mtime;
  std::map<std::string, std::string, std::less<>> xattrs;
  std::string acl_access;
  std::string acl_default;

  // GNU.sparse.*: the formats 0.0 and 0.1 have the map here, 1.0 before the data.
  struct Sparse {
    std::optional<std::uint64_t> major;
    std::optional<std::uint64_t> minor;
    std::optional<std::uint64_t> real_size_bytes;
    std::optional<std::uint64_t> entries;  // how many the map is said to have
    std::optional<std::string> name;
    bool has_map = false;
    std::vector<std::uint64_t> map;  // offset, length, offset, …
  };
  Sparse sparse;

  // Takes in the records of a header, on top of what was taken before. E_ARCHIVE_INVALID.
  Status take(std::string_view records);

 private:
  Status take_record(std::string_view keyword, std::string_view value);
  Status take_sparse(std::string_view keyword, std::string_view value);
};

// Decimal digits and nothing else; none where they are not, or do not fit.
std::optional<std::uint64_t> parse_decimal(std::string_view text);

}  // namespace vzv
