#include "core/chunk/fastcdc.h"

#include <algorithm>
#include <string>

#include "core/base/bytes.h"
#include "core/base/sha256.h"

namespace vzv {

namespace {

// A byte is in the hash for 64 shifts by one bit. Hashing begins so far before the least length, so that the first
// place where a piece may end is judged by as many bytes as any other.
constexpr std::size_t kHashedBytes = 64;

// A piece ends behind a byte where the uppermost bits of the hash are zero: two more of them than the average length
// asks for while the piece is shorter than that, two less once it is longer.
constexpr unsigned kNormalization = 2;

// Hashes bytes [from, end) and answers the number of those up to the first behind which the piece ends, else all.
struct Scan {
  std::size_t taken;
  bool ends;
};
Scan scan(const GearTable& gear, const std::uint8_t* bytes, std::size_t count, unsigned shift, std::uint64_t& hash) {
  std::uint64_t h = hash;
  for (std::size_t i = 0; i < count; ++i) {
    h = (h << 1) + gear[bytes[i]];
    if ((h >> shift) == 0) {
      hash = h;
      return {i + 1, true};
    }
  }
  hash = h;
  return {count, false};
}

}  // namespace

GearTable make_gear_table(const std::function<Id(ByteSpan)>& digest) {
  GearTable table{};
  for (unsigned byte = 0; byte < table.size(); ++byte) {
    Bytes text;
    ByteWriter writer(text);
    writer.magic("vzvault gear");
    writer.u8(static_cast<std::uint8_t>(byte));
    table[byte] = ByteReader(digest(text).bytes).u64();
  }
  return table;
}

const GearTable& gear_table() {
  static const GearTable table = make_gear_table(sha256);
  return table;
}

std::size_t FastCdc::take(ByteSpan bytes) {
  std::size_t at = 0;
  // The portion of `bytes` up to piece length `end`; none where the piece is longer.
  const auto up_to = [&](std::size_t end) {
    return length_ < end ? std::min(end - length_, bytes.size() - at) : std::size_t{0};
  };
  const auto pass = [&](std::size_t count) {
    at += count;
    length_ += count;
  };
  pass(up_to(sizes_.least - kHashedBytes));
  // Behind the byte that gives the piece its least length it may end for the first time.
  const GearTable& gear = *gear_;
  const std::size_t unjudged = up_to(sizes_.least - 1);
  for (std::size_t i = 0; i < unjudged; ++i) hash_ = (hash_ << 1) + gear[bytes[at + i]];
  pass(unjudged);
  for (const auto& [end, bits] : {std::pair{sizes_.average(), sizes_.average_log2 + kNormalization},
                                  std::pair{sizes_.most, sizes_.average_log2 - kNormalization}}) {
    const Scan found = scan(gear, bytes.data() + at, up_to(end), 64 - bits, hash_);
    pass(found.taken);
    if (found.ends || length_ == sizes_.most) {
      restart();
      return at;
    }
  }
  return at;
}

}  // namespace vzv
