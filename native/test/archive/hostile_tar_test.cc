// Tar streams that nobody should send: each is refused in one line that says why, and costs nothing.
#include <doctest/doctest.h>

#include "core/base/limits.h"
#include "test/archive/read_tar.h"
#include "test/support/usage.h"

using namespace vzv;
using namespace vzv::test;

namespace {

using Records = std::vector<std::pair<std::string, std::string>>;

// A member with a sparse map of format 1.0.
TarBuilder sparse_1_0(std::string map, const std::string& data, const std::string& real_size) {
  map.resize((map.size() + 511) / 512 * 512);
  return TarBuilder()
      .pax({{"GNU.sparse.major", "1"}, {"GNU.sparse.minor", "0"}, {"GNU.sparse.realsize", real_size}})
      .member({}, map + data)
      .end();
}

TarBuilder sparse_0_1(const std::string& map, const std::string& entries, const std::string& data) {
  return TarBuilder()
      .pax({{"GNU.sparse.map", map}, {"GNU.sparse.numblocks", entries}, {"GNU.sparse.size", "100"}})
      .member({}, data)
      .end();
}

}  // namespace

TEST_CASE("a stream that is cut short anywhere is told from a whole one") {
  TarBuilder tar;
  tar.pax({{"path", "some/path"}}).member({.name = "x"}, std::string(1500, 'y')).end();
  const Bytes whole = tar.bytes();
  for (std::size_t length = 0; length < whole.size(); length += 13) {
    const auto members = read_tar(ByteSpan(whole).first(length));
    REQUIRE(members.status().code() == Code::E_ARCHIVE_INVALID);
    CHECK(members.status().message().find("cut short") != std::string::npos);
  }
  CHECK(read_tar(whole).ok());
  CHECK(read_tar({}).status().message() == "the tar stream was cut short at byte 0");
}

TEST_CASE("what stands behind the end is passed over, one block of zeroes is no end") {
  TarBuilder tar;
  tar.member({}).end().raw(std::string(8704, '\0')).raw("anything");
  CHECK(must_read(tar).size() == 1);
  TarBuilder lone;
  lone.member({}).raw(std::string(512, '\0')).member({.name = "b"}).end();
  check_refused(lone, "a lone block of zeroes");
}

TEST_CASE("a changed byte in a header shows by the checksum") {
  TarBuilder tar;
  tar.member({.name = "./file"}, "x").end();
  for (std::size_t at = 0; at < 512; ++at) {
    Bytes changed = tar.bytes();
    changed[at] ^= 1;
    const auto members = read_tar(changed);
    // The spaces and zeroes around the checksum itself say nothing.
    if (members.ok()) CHECK((at >= 148 && at < 156));
    if (!members.ok()) CHECK(members.status().message().find("byte 0 of the tar stream: the checksum") == 0);
  }
}

TEST_CASE("names that lead out of the archive, in whatever way they come") {
  check_refused(TarBuilder().member({.name = "../../etc/shadow"}).end(),
                "'../../etc/shadow': its path is not allowed: a component is '..'");
  check_refused(TarBuilder().member({.name = "a/.."}).end(), "a component is '..'");
  check_refused(TarBuilder().member({.name = "/etc/shadow"}).end(), "it is absolute");
  check_refused(TarBuilder().pax({{"path", "a/../b"}}).member({}).end(), "'..'");
  check_refused(TarBuilder().pax({{"path", "/b"}}).member({}).end(), "absolute");
  check_refused(TarBuilder().pax({{"GNU.sparse.name", "../b"}}).member({}).end(), "'..'");
  check_refused(TarBuilder().pax({{"path", std::string("a\0b", 3)}}).member({}).end(), "'path'");
  check_refused(TarBuilder().ahead('L', "../x").member({}).end(), "'..'");
  check_refused(TarBuilder().member({.name = "b", .prefix = "a/.."}).end(), "'..'");
  check_refused(TarBuilder().member({.type = '1', .link_name = "../x"}).end(), "hard link");
  check_refused(TarBuilder().member({.type = '1', .link_name = "/x"}).end(), "hard link is absolute");
  check_refused(TarBuilder().member({.type = '1', .link_name = ""}).end(), "hard link");
  check_refused(TarBuilder().member({.name = ""}).end(), "no name");
  check_refused(TarBuilder().member({.name = "./"}, "x").end(), "no file");
  check_refused(TarBuilder().pax({{"path", std::string(300, 'n')}}).member({}).end(), "300 bytes");
  std::string deep;
  while (deep.size() <= limits::kMemberPathMaxBytes) deep += "directory/";
  check_refused(TarBuilder().pax({{"path", deep}}).member({}).end(), "its path is not allowed");
}

TEST_CASE("a newline in a name is a name like another") {
  const auto members = must_read(TarBuilder().member({.name = "a\nb"}).pax({{"path", "c\n9 x=y\n"}}).member({}).end());
  CHECK(members[0].member.path == "a\nb");
  CHECK(members[1].member.path == "c\n9 x=y\n");
}

TEST_CASE("headers beyond all measure are refused before anything is read of them") {
  for (const char type : {'x', 'g', 'L', 'K'}) {
    TarBuilder tar;
    tar.raw(TarBuilder::header({.type = type, .size_bytes = 1ULL << 30}));
    check_refused(tar, "an extended header of 1073741824 bytes");
  }
  // Many that are small enough each.
  TarBuilder many;
  for (int i = 0; i < 9; ++i) many.ahead('x', TarBuilder::pax_record("comment", std::string(1'000'000, 'c')));
  check_refused(many.member({}).end(), "larger than any needs to be");
  TarBuilder global;
  for (int i = 0; i < 9; ++i) {
    global.ahead('g', TarBuilder::pax_record("comment", std::string(1'000'000, 'c'))).member({});
  }
  check_refused(global.end(), "larger than any needs to be");
}

TEST_CASE("records of extended headers that are no records") {
  for (const char* text : {"x", "5", "5 ", "0 a=b\n", "1 a=b\n", "7 a=b\n", "6 a=b", "6 a=b\nx", "6 abcd\n", "5 =b\n",
                           "-6 a=b\n", "99999999999999999999999 a=b\n", " 6 a=b\n"}) {
    CAPTURE(text);
    check_refused(TarBuilder().ahead('x', text).member({}).end(), "record of an extended header");
  }
  for (const Records& records : {Records{{"size", "-1"}}, Records{{"size", "x"}}, Records{{"uid", "1.5"}},
                                 Records{{"gid", "99999999999999999999"}}, Records{{"size", ""}}}) {
    check_refused(TarBuilder().pax(records).member({}).end(), "is not valid");
  }
  check_refused(TarBuilder().pax({{"uid", "4294967296"}}).member({}).end(), "user id is out of range");
  check_refused(TarBuilder().pax({{"size", "9007199254740992"}}).member({}).end(), "beyond 2^53");
}

TEST_CASE("sparse maps that lie") {
  check_refused(sparse_1_0("2\n0\n4\n2\n4\n", "12345678", "100"), "overlaps");
  check_refused(sparse_1_0("2\n50\n4\n0\n4\n", "12345678", "100"), "out of order");
  check_refused(sparse_1_0("1\n97\n4\n", "1234", "100"), "beyond its size");
  check_refused(sparse_1_0("1\n0\n4\n", "12345", "100"), "stands more, and not zeroes");
  check_refused(sparse_1_0("2\n0\n4\n10\n4\n", "12345678" + std::string(504, '\0'), "100"), "not of the length");
  check_refused(sparse_1_0("1\n0\n4\n", "123", "100"), "not of the length that is stored");
  check_refused(sparse_1_0("1\n9007199254740990\n4\n", "1234", "100"), "beyond its size");
  check_refused(sparse_1_0("1\n0\n99999999999999999999999\n", "1234", "100"), "not numbers");
  check_refused(sparse_1_0("1\n\n4\n", "1234", "100"), "not numbers");
  check_refused(sparse_1_0("1\n-1\n4\n", "1234", "100"), "not numbers");
  check_refused(sparse_1_0("9999999\n0\n4\n", "1234", "100"), "says that it has 9999999 entries");
  check_refused(sparse_1_0("100\n0\n1\n", "1234", "100"), "not numbers");  // the padding
  check_refused(TarBuilder().pax({{"GNU.sparse.major", "1"}, {"GNU.sparse.realsize", "9"}}).member({}).end(), "longer");
  check_refused(TarBuilder().pax({{"GNU.sparse.major", "1"}}).member({}).end(), "has no size");
  check_refused(TarBuilder().pax({{"GNU.sparse.major", "2"}, {"GNU.sparse.size", "9"}}).member({}).end(), "unknown");
  check_refused(TarBuilder().pax({{"GNU.sparse.size", "9"}}).member({.type = '5'}).end(), "no file");
  check_refused(sparse_0_1("0,4", "2", "1234"), "as many entries");
  check_refused(sparse_0_1("0,4,9", "1", "1234"), "as many entries");
  check_refused(sparse_0_1("0,,4", "1", "1234"), "GNU.sparse.map");
  check_refused(sparse_0_1("0,4", "1", "123"), "not of the length");
  check_refused(sparse_0_1("98,4", "1", "1234"), "beyond its size");
  check_refused(TarBuilder().pax({{"GNU.sparse.numbytes", "1"}, {"GNU.sparse.size", "9"}}).member({}).end(), "order");
  check_refused(TarBuilder().pax({{"GNU.sparse.offset", "1"}, {"GNU.sparse.size", "9"}}).member({}).end(), "entries");
  const auto old = [](const std::vector<std::pair<std::uint64_t, std::uint64_t>>& ranges, std::uint64_t real,
                      bool more) {
    return TarBuilder().raw(old_sparse_header({.size_bytes = 4}, ranges, real, more)).raw("1234").pad().end();
  };
  check_refused(old({{0, 2}, {1, 2}}, 100, false), "overlaps");
  check_refused(old({{99, 4}}, 100, false), "beyond its size");
  check_refused(old({{0, 3}}, 100, false), "not of the length");
  check_refused(old({{0, 4}}, 100, true), "goes on behind its end");
}

TEST_CASE("members that no file system has") {
  check_refused(TarBuilder().member({.type = 'M'}).end(), "a member of type 'M' cannot be kept");
  check_refused(TarBuilder().member({.type = '\n'}).end(), "type '\\012'");
  check_refused(TarBuilder().member({.type = '2', .link_name = "x"}, "data").end(), "no file");
  check_refused(TarBuilder().member({.type = '2', .link_name = ""}).end(), "symbolic link is empty");
  check_refused(TarBuilder().pax({{"linkpath", std::string(5000, 'x')}}).member({.type = '2'}).end(), "too long");
  check_refused(TarBuilder().pax({{"SCHILY.xattr.", "x"}}).member({}).end(), "extended attribute is empty");
  check_refused(TarBuilder().pax({{"SCHILY.xattr.user.a", std::string(70'000, 'x')}}).member({}).end(), "64 KiB");
  check_refused(TarBuilder().pax({{"SCHILY.acl.access", std::string("a\0b", 3)}}).member({}).end(), "ACL is not valid");
  check_refused(TarBuilder().pax({{"path", "x"}}).end(), "describes another member");
}

TEST_CASE("what is announced costs no memory") {
  const std::uint64_t before = peak_memory_kib();
  TarBuilder large;
  large.raw(TarBuilder::header({.size_bytes = (1ULL << 33) - 1})).raw("x");
  check_refused(large, "cut short");
  TarBuilder header;
  header.raw(TarBuilder::header({.type = 'x', .size_bytes = limits::kTarHeadersMaxBytes}));
  check_refused(header, "cut short");
  TarBuilder map;
  map.pax({{"GNU.sparse.major", "1"},
           {"GNU.sparse.minor", "0"},
           {"GNU.sparse.realsize", "1000000000"},
           {"size", "900000000"}})
      .raw(TarBuilder::header({}))
      .raw("16777216\n0\n1\n");
  check_refused(map, "cut short");
  CHECK(peak_memory_kib() < before + 32'768 + kSanitizerKib);
}
