// Cuts a stream of bytes where its content says so (FastCDC with normalized chunking, Xia et al., USENIX ATC 2016), so
// that an insertion moves the cuts near it and no others. docs/format.md (Data of an archive) states the rule exactly:
// every writer that follows it cuts alike, which is what makes two of them share chunks.
//
// Where a piece ends depends on the bytes from its beginning on, never on the portions in which they come. One thread
// at a time.
#pragma once

#include <array>
#include <cstdint>
#include <functional>

#include "core/base/id.h"

namespace vzv {

// How long pieces are: at least (but for the last before a forced cut), about on average, and at most.
struct PieceSizes {
  std::size_t least = 0;      // at least 64
  unsigned average_log2 = 0;  // of a power of two between the others
  std::size_t most = 0;

  constexpr std::size_t average() const { return std::size_t{1} << average_log2; }
};

// What each byte adds to the hash: entry b is the first 8 bytes, as a little-endian number, of the digest of
// "vzvault gear" and the byte b.
using GearTable = std::array<std::uint64_t, 256>;
GearTable make_gear_table(const std::function<Id(ByteSpan)>& digest);
// With SHA-256 as digest: that of a repository without encryption. (An encrypted one has a table that only its key
// tells, so that the lengths of pieces do not give files away that everybody knows.)
const GearTable& gear_table();

class FastCdc {
 public:
  // REQUIRES: the table outlives this.
  explicit FastCdc(PieceSizes sizes, const GearTable& gear = gear_table()) : sizes_(sizes), gear_(&gear) {}

  // How many of `bytes`, the next of the stream, belong to the piece that is open: all of them, or those up to its end,
  // in which case ended() is true and the next call begins a piece. REQUIRES: bytes is not empty
  std::size_t take(ByteSpan bytes);
  // The last call found the end of a piece.
  bool ended() const { return length_ == 0; }
  // Bytes in the open piece.
  std::size_t open_bytes() const { return length_; }
  // Ends the open piece where it stands.
  void cut() { restart(); }

 private:
  void restart() {
    length_ = 0;
    hash_ = 0;
  }

  PieceSizes sizes_;
  const GearTable* gear_;
  std::size_t length_ = 0;
  std::uint64_t hash_ = 0;
};

}  // namespace vzv
