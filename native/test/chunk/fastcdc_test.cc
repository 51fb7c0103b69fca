// Where FastCDC cuts: within its bounds, whatever the portions, and again in the same places behind a change.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <set>

#include "core/base/sha256.h"
#include "core/chunk/fastcdc.h"

namespace vzv {
namespace {

constexpr PieceSizes kLarge{.least = 131'072, .average_log2 = 19, .most = 2'097'152};
constexpr PieceSizes kSmall{.least = 16'384, .average_log2 = 16, .most = 262'144};

Bytes noise(std::size_t length, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  Bytes bytes(length);
  for (std::size_t i = 0; i + 8 <= length; i += 8) {
    const std::uint64_t value = random();
    std::memcpy(bytes.data() + i, &value, 8);
  }
  return bytes;
}

// Ends of the pieces; `portion` answers how many bytes to hand over at most.
template <typename Portion>
std::vector<std::size_t> cuts(ByteSpan bytes, Portion portion, const PieceSizes& sizes = kLarge) {
  FastCdc cutter(sizes);
  std::vector<std::size_t> ends;
  for (std::size_t at = 0; at < bytes.size();) {
    const std::size_t offered = std::min<std::size_t>(portion(), bytes.size() - at);
    const std::size_t taken = cutter.take(bytes.subspan(at, offered));
    at += taken;
    if (cutter.ended()) {
      ends.push_back(at);
    } else {
      REQUIRE(taken == offered);
    }
  }
  if (!cutter.ended()) ends.push_back(bytes.size());
  return ends;
}
std::vector<std::size_t> cuts(ByteSpan bytes, const PieceSizes& sizes = kLarge) {
  return cuts(
      bytes, [] { return std::size_t{1} << 30; }, sizes);
}

// The rule as docs/format.md states it, one byte after the other.
std::vector<std::size_t> cuts_by_the_book(ByteSpan bytes, std::size_t least, unsigned log2, std::size_t most) {
  std::vector<std::size_t> ends;
  std::size_t begin = 0;
  std::uint64_t hash = 0;
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    const std::size_t length = at + 1 - begin;
    if (length > least - 64) hash = (hash << 1) + gear_table()[bytes[at]];
    const unsigned bits = length <= (std::size_t{1} << log2) ? log2 + 2 : log2 - 2;
    const bool content = length >= least && hash < (std::uint64_t{1} << (64 - bits));
    if (!content && length < most) continue;
    ends.push_back(at + 1);
    begin = at + 1;
    hash = 0;
  }
  if (begin < bytes.size()) ends.push_back(bytes.size());
  return ends;
}

TEST_CASE("the gear table follows its rule") {
  for (const unsigned byte : {0U, 1U, 127U, 255U}) {
    Bytes text = {'v', 'z', 'v', 'a', 'u', 'l', 't', ' ', 'g', 'e', 'a', 'r'};
    text.push_back(static_cast<std::uint8_t>(byte));
    const Id digest = sha256(text);
    std::uint64_t value = 0;
    for (unsigned i = 0; i < 8; ++i) value |= static_cast<std::uint64_t>(digest.bytes[i]) << (8 * i);
    CHECK(gear_table()[byte] == value);
  }
  const auto& table = gear_table();
  CHECK(table[0] == 0x7669'aa4a'd183'1a79);
  CHECK(table[255] == 0x6bba'7a20'b054'3653);
  CHECK(std::set<std::uint64_t>(table.begin(), table.end()).size() == 256);
}

TEST_CASE("pieces keep their bounds and come out about as long as they should") {
  const Bytes bytes = noise(192 << 20, 1);
  for (const PieceSizes& sizes : {kLarge, kSmall}) {
    const auto ends = cuts(bytes, sizes);
    CHECK(ends == cuts_by_the_book(bytes, sizes.least, sizes.average_log2, sizes.most));
    std::size_t begin = 0;
    for (const std::size_t end : ends) {
      if (end != bytes.size()) CHECK(end - begin >= sizes.least);
      CHECK(end - begin <= sizes.most);
      begin = end;
    }
    const double average = static_cast<double>(bytes.size()) / static_cast<double>(ends.size());
    CAPTURE(average);
    CHECK(average > 0.8 * static_cast<double>(sizes.average()));
    CHECK(average < 1.4 * static_cast<double>(sizes.average()));
  }
}

TEST_CASE("the cuts do not depend on the portions in which the bytes come") {
  const std::uint64_t seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  const Bytes bytes = noise(24 << 20, seed);
  const auto expected = cuts(bytes);
  for (const std::size_t most : {1UL, 63UL, 64UL, 65UL, 4'096UL, 131'072UL, 1'000'003UL}) {
    if (most > 1) CHECK(cuts(bytes, [&] { return 1 + random() % most; }) == expected);
    CHECK(cuts(ByteSpan(bytes), [&] { return most; }) == expected);
    if (most > 1)
      CHECK(cuts(
                bytes, [&] { return 1 + random() % most; }, kSmall) == cuts(bytes, kSmall));
  }
}

TEST_CASE("behind an insertion or a deletion the cuts are where they were") {
  const Bytes bytes = noise(96 << 20, 7);
  const auto before = cuts(bytes);
  for (const int change : {1, 100'000, -1, -100'000}) {
    CAPTURE(change);
    Bytes changed = bytes;
    const auto at = changed.begin() + (30 << 20);
    if (change > 0) {
      const Bytes more = noise(static_cast<std::size_t>(change) / 8 * 8 + 8, 99);
      changed.insert(at, more.begin(), more.begin() + change);
    } else {
      changed.erase(at, at - change);
    }
    std::set<std::size_t> after;
    for (const std::size_t end : cuts(changed)) after.insert(end - static_cast<std::size_t>(change));
    std::size_t lost = 0;
    for (const std::size_t end : before) {
      if (end > (std::size_t{30} << 20) && !after.contains(end)) ++lost;
    }
    CHECK(lost <= 8);
  }
}

TEST_CASE("bytes that are all alike make pieces of the greatest length") {
  for (const int byte : {0, 0xff}) {
    const Bytes bytes(9 << 20, static_cast<std::uint8_t>(byte));
    const auto ends = cuts(bytes);
    CHECK(ends == std::vector<std::size_t>{2 << 20, 4 << 20, 6 << 20, 8 << 20, 9 << 20});
  }
}

TEST_CASE("a forced cut begins anew, wherever it falls") {
  const Bytes bytes = noise(8 << 20, 3);
  const auto expected = cuts(bytes);
  for (const std::size_t length : {1UL, 131'000UL, 131'072UL, 200'000UL}) {
    FastCdc cutter(kLarge);
    const Bytes before = noise(length / 8 * 8 + 8, 5);
    if (cutter.take(ByteSpan(before).first(length)) != length) continue;
    CHECK(cutter.open_bytes() == length);
    cutter.cut();
    CHECK(cutter.ended());
    CHECK(cutter.take(bytes) == expected.front());
  }
}

}  // namespace
}  // namespace vzv
