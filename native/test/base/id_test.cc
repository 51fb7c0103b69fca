#include "core/base/id.h"

#include <doctest/doctest.h>

using vzv::Id;

TEST_CASE("an id is shown as 64 lower-case hex digits, and read back from exactly those") {
  Id id;
  for (std::size_t i = 0; i < id.bytes.size(); ++i) id.bytes[i] = static_cast<std::uint8_t>(0xa0 + i);
  const std::string hex = id.hex();
  CHECK(hex == "a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebf");
  CHECK(Id::from_hex(hex) == id);
  CHECK_FALSE(Id::from_hex(hex.substr(1)));
  CHECK_FALSE(Id::from_hex(hex + "0"));
  CHECK_FALSE(Id::from_hex("A" + hex.substr(1)));
  CHECK_FALSE(Id::from_hex("g" + hex.substr(1)));
  CHECK_FALSE(Id::from_hex(""));
}

TEST_CASE("only the id of 32 zero bytes is the zero sentinel") {
  Id id;
  CHECK(id.is_zero());
  id.bytes[31] = 1;
  CHECK_FALSE(id.is_zero());
}

TEST_CASE("ids are ordered by their bytes, the first weighing most") {
  Id a, b;
  a.bytes[31] = 0xff;
  b.bytes[0] = 0x01;
  CHECK(a < b);
  b.bytes[0] = 0x80;
  CHECK(a < b);  // bytes are unsigned
}
