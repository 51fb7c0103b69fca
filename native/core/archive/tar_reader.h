// Takes a tar stream apart, member by member: POSIX ustar and pax, GNU (long names, sparse files of all its formats,
// numbers in base 256), V7.
//
// The stream may come from anybody. Whatever does not stand in the formats, or could not be put back (a path that leads
// out of the archive, a map that lies, headers beyond all measure), is E_ARCHIVE_INVALID in one line that names the
// place and the member; errors of the input are passed on. What a number announces is checked before anything is
// allocated for it, and what is read is held in a window of fixed size.
//
// Members come in the stream's order. One thread at a time.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/archive/acl.h"
#include "core/archive/member.h"
#include "core/archive/pax_header.h"
#include "core/archive/tar_header.h"
#include "core/archive/tar_input.h"
#include "core/base/limits.h"

namespace vzv {

class TarReader {
 public:
  // REQUIRES: the input outlives this; window_bytes is at least a block.
  explicit TarReader(TarInput& input, std::size_t window_bytes = limits::kTarBufferBytes)
      : window_(input, window_bytes) {}

  // Fills `member` with the next one, passing over data that was not read; false behind the last, once the archive's
  // end was seen: a stream without it was cut short.
  Result<bool> next(Member& member);
  // The next bytes of what the member stores; none at its end. Valid until the next call.
  Result<ByteSpan> data();
  // Behind the last member: reads what tar fills its last record up with, to the end of the input.
  Status drain();

  // E_ARCHIVE_INVALID of the member that next() filled in last: where it stands, its name, and `what`.
  Status invalid(const std::string& what) const;
  // Bytes of the stream so far.
  std::uint64_t offset() const { return window_.offset(); }

 private:
  // What stands before a member's own header.
  struct Ahead {
    PaxValues pax;
    std::string name;       // GNU's L and K
    std::string link_name;  //
    std::size_t bytes = 0;
    bool any = false;
  };

  Result<TarBlock> block();
  Status pass_over(std::uint64_t length, bool zeroes);
  Status skip_data();
  Status end_of_archive(const Ahead& ahead);
  // True where the header was one that describes the next.
  Result<bool> take_ahead(const TarHeader& header, Ahead& ahead);
  Result<std::string> read_text(std::uint64_t size_bytes, std::size_t& budget);
  Status make_member(const TarHeader& header, Ahead& ahead, Member& member);
  Status name_member(const TarHeader& header, Ahead& ahead, Member& member);
  Status take_acl(std::string_view text, std::string& acl);
  Status fill_content(const TarHeader& header, const Ahead& ahead, Member& member);
  Status read_sparse(const TarHeader& header, const PaxValues::Sparse& sparse, Member& member);
  Status read_old_sparse(std::vector<MemberExtent>& ranges, std::uint64_t& real_size_bytes);
  // The same of what a decoder found; errors of the input as they are.
  Status located(const Status& status) const;
  Status cut_short() const;

  TarWindow window_;
  AclTranslator acls_;
  PaxValues global_;
  std::size_t global_bytes_ = 0;
  Bytes header_block_;               // of the member that is being made
  std::uint64_t header_offset_ = 0;  // where the last header stands
  std::string name_;                 // of the member that is being made, for messages
  std::uint64_t data_left_ = 0;
  std::uint64_t filling_ = 0;  // behind the data, of the member's stored length but not in its map
  std::size_t padding_ = 0;    // behind all of it, up to the next block
};

}  // namespace vzv
