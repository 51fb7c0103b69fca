#include "core/base/bytes.h"

#include <doctest/doctest.h>

using vzv::ByteReader;
using vzv::Bytes;
using vzv::ByteSpan;
using vzv::ByteWriter;
using vzv::Id;

TEST_CASE("integers are written and read in little-endian order") {
  Bytes out;
  ByteWriter writer(out);
  writer.u8(0x01);
  writer.u16(0x0302);
  writer.u32(0x07060504);
  writer.u64(0x0f0e0d0c0b0a0908);
  Bytes expected;
  for (std::uint8_t i = 1; i <= 15; ++i) expected.push_back(i);
  CHECK(out == expected);

  ByteReader reader(out);
  CHECK(reader.u8() == 0x01);
  CHECK(reader.u16() == 0x0302);
  CHECK(reader.u32() == 0x07060504);
  CHECK(reader.u64() == 0x0f0e0d0c0b0a0908);
  CHECK(reader.ok());
  CHECK(reader.remaining() == 0);
}

TEST_CASE("a read past the end answers zeroes, and the reader stays not ok") {
  const Bytes three{1, 2, 3};
  ByteReader reader(three);
  CHECK(reader.u32() == 0);
  CHECK_FALSE(reader.ok());
  CHECK(reader.u8() == 0);  // although a byte is there
  CHECK(reader.bytes(1).empty());
  CHECK(reader.id().is_zero());
  CHECK_FALSE(reader.magic("\x01"));
}

TEST_CASE("a huge length does not wrap around") {
  const Bytes bytes{1, 2, 3, 4};
  ByteReader reader(bytes);
  CHECK(reader.u8() == 1);
  CHECK(reader.bytes(SIZE_MAX).empty());
  CHECK_FALSE(reader.ok());
}

TEST_CASE("magics and reserved fields are compared in full") {
  Bytes out;
  ByteWriter writer(out);
  writer.magic("VZV\n");
  writer.zeroes(3);
  writer.u8(1);
  {
    ByteReader reader(out);
    CHECK(reader.magic("VZV\n"));
    CHECK(reader.zeroes(3));
    CHECK_FALSE(reader.zeroes(1));
  }
  ByteReader reader(out);
  CHECK_FALSE(reader.magic("VZW\n"));
  CHECK_FALSE(ByteReader(ByteSpan(out).first(2)).magic("VZV\n"));
}

TEST_CASE("ids are read as they were written") {
  Id id;
  for (std::size_t i = 0; i < id.bytes.size(); ++i) id.bytes[i] = static_cast<std::uint8_t>(i);
  Bytes out;
  ByteWriter(out).id(id);
  CHECK(out.size() == 32);
  CHECK(ByteReader(out).id() == id);
}
