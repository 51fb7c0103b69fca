// Tar streams of every dialect are read for what they say.
#include "core/archive/tar_reader.h"

#include <doctest/doctest.h>

#include "test/archive/read_tar.h"

using namespace vzv;
using namespace vzv::test;

namespace {

Member only(const TarBuilder& tar) {
  const auto members = must_read(tar);
  REQUIRE(members.size() == 1);
  return members[0].member;
}

}  // namespace

TEST_CASE("members of every type") {
  TarBuilder tar;
  tar.member({.type = '5', .name = "./", .mode = 0755})
      .member({.type = '0', .name = "./etc/passwd", .mode = 0100644, .uid = 1000, .gid = 100}, "root:x:0:0\n")
      .member({.type = '\0', .name = "old/"})
      .member({.type = '7', .name = "contiguous"}, "x")
      .member({.type = '1', .name = "./twin", .link_name = "./etc/passwd"})
      .member({.type = '2', .name = "./link", .link_name = "/abs/../../olute"})
      .member({.type = '3', .name = "dev/null"})
      .member({.type = '4', .name = "dev/sda"})
      .member({.type = '6', .name = "fifo"})
      .end();
  for (const std::size_t portion : {std::size_t{1}, std::size_t{511}, std::size_t{10'240}, SIZE_MAX}) {
    const auto members = must_read(tar, portion);
    REQUIRE(members.size() == 9);
    CHECK(members[0].member.path.empty());
    CHECK(members[0].member.type == MemberType::kDirectory);
    const Member& file = members[1].member;
    CHECK(file.path == "etc/passwd");
    CHECK(file.mode == 0644);
    CHECK(file.uid == 1000);
    CHECK(file.gid == 100);
    CHECK(file.mtime_seconds == 1'795'000'000);
    CHECK(file.size_bytes == 11);
    CHECK(file.stored_bytes == 11);
    CHECK(members[1].data == "root:x:0:0\n");
    CHECK(members[2].member.type == MemberType::kDirectory);
    CHECK(members[2].member.path == "old");
    CHECK(members[3].member.type == MemberType::kFile);
    CHECK(members[4].member.type == MemberType::kHardLink);
    CHECK(members[4].member.link_target == "etc/passwd");
    CHECK(members[5].member.link_target == "/abs/../../olute");
    CHECK(members[6].member.device_major == 1);
    CHECK(members[6].member.device_minor == 3);
    CHECK(members[7].member.type == MemberType::kBlockDevice);
    CHECK(members[8].member.type == MemberType::kFifo);
  }
}

TEST_CASE("data that is not read is passed over") {
  TarBuilder tar;
  tar.member({.name = "a"}, std::string(700'000, 'x')).member({.name = "b"}, "y").end();
  const Bytes bytes = tar.bytes();
  MemoryTar input(bytes, 1000);
  TarReader reader(input);
  Member member;
  REQUIRE(reader.next(member).value());
  REQUIRE(reader.data().ok());
  REQUIRE(reader.next(member).value());
  CHECK(member.path == "b");
  CHECK_FALSE(reader.next(member).value());
  CHECK(reader.drain().ok());
  CHECK(reader.offset() == bytes.size());
}

TEST_CASE("long names: the prefix of ustar, GNU's L and K, pax") {
  const std::string deep = std::string(120, 'd') + "/" + std::string(120, 'f');
  CHECK(only(TarBuilder().member({.name = "name", .prefix = "some/where"}).end()).path == "some/where/name");
  // GNU has other things where ustar has the prefix.
  CHECK(only(TarBuilder().member({.name = "name", .prefix = "15164245612", .gnu = true}).end()).path == "name");
  TarBuilder gnu;
  gnu.ahead('K', std::string(200, 't') + '\0').ahead('L', deep + '\0').member({.type = '2', .name = "cut"}).end();
  CHECK(only(gnu).path == deep);
  CHECK(only(gnu).link_target == std::string(200, 't'));
  TarBuilder pax;
  pax.pax({{"path", "./" + deep}, {"linkpath", "target\n"}}).member({.type = '2', .name = "cut"}).end();
  CHECK(only(pax).path == deep);
  CHECK(only(pax).link_target == "target\n");
  CHECK(only(TarBuilder().member({.name = ".//a/./b//"}).end()).path == "a/b");
}

TEST_CASE("pax keywords override the header, for one member; global ones for all") {
  TarBuilder tar;
  tar.pax({{"comment", "global"}, {"uid", "77"}}, 'g')
      .pax({{"mtime", "1795000000.123456789"},
            {"uid", "4294967295"},
            {"gid", "100000"},
            {"size", "3"},
            {"hdrcharset", "BINARY"},
            {"uname", "x"},
            {"atime", "1"}})
      .raw(TarBuilder::header({.name = "a", .size_bytes = 99}))
      .raw("abc")
      .pad()
      .member({.name = "b", .uid = 5})
      .end();
  const auto members = must_read(tar);
  CHECK(members[0].data == "abc");
  CHECK(members[0].member.uid == 4'294'967'295U);
  CHECK(members[0].member.gid == 100'000);
  CHECK(members[0].member.mtime_nanoseconds == 123'456'789);
  CHECK(members[1].member.uid == 77);
  CHECK(members[1].member.mtime_nanoseconds == 0);
}

TEST_CASE("times before 1970 and with any number of digits") {
  const auto time = [](const std::string& text) {
    const Member member = only(TarBuilder().pax({{"mtime", text}}).member({}).end());
    return std::pair<std::int64_t, std::uint32_t>(member.mtime_seconds, member.mtime_nanoseconds);
  };
  CHECK(time("0") == std::pair<std::int64_t, std::uint32_t>(0, 0));
  CHECK(time("12.5") == std::pair<std::int64_t, std::uint32_t>(12, 500'000'000));
  CHECK(time("12.1234567891") == std::pair<std::int64_t, std::uint32_t>(12, 123'456'789));
  CHECK(time("-12.5") == std::pair<std::int64_t, std::uint32_t>(-13, 500'000'000));
  CHECK(time("-1") == std::pair<std::int64_t, std::uint32_t>(-1, 0));
  CHECK(time("-0.0000000001") == std::pair<std::int64_t, std::uint32_t>(-1, 999'999'999));
  for (const char* text : {"", "x", "1.x", "-", "99999999999999999999"}) {
    check_refused(TarBuilder().pax({{"mtime", text}}).member({}).end(), "'mtime'");
  }
}

TEST_CASE("numbers in base 256") {
  const auto number = [](const std::string& field) {
    return parse_tar_number({reinterpret_cast<const std::uint8_t*>(field.data()), field.size()}, "it");
  };
  CHECK(number(std::string("\x80\0\0\0\0\0\0\0\1\0\0\0", 12)).value() == 1 << 24);
  CHECK(number(std::string("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe", 12)).value() == -2);
  CHECK(number(std::string("\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff", 12)).value() == INT64_MAX);
  CHECK_FALSE(number(std::string("\x80\0\0\0\x80\0\0\0\0\0\0\0", 12)).ok());
  CHECK_FALSE(number(std::string("\x80\1\0\0\0\0\0\0\0\0\0\0", 12)).ok());
  CHECK(number("   17 ").value() == 15);
  CHECK(number(std::string(8, '\0')).value() == 0);
  CHECK_FALSE(number("18 ").ok());
  CHECK_FALSE(number("-7").ok());
  std::string block = TarBuilder::header({.name = "a"});
  TarBuilder::put(block, 108, std::string("\x80\0\0\0\x05\xf5\xe1\x00", 8));
  CHECK(only(TarBuilder().raw(TarBuilder::with_checksum(block)).end()).uid == 100'000'000);
}

TEST_CASE("extended attributes and ACLs") {
  TarBuilder tar;
  tar.pax({{"SCHILY.xattr.user.z", "1"},
           {"SCHILY.xattr.user.b=", "wrong"},
           {"SCHILY.xattr.user.a%3Db%25", "x=y"},
           {"SCHILY.xattr.security.capability", std::string("\1\0\n\2", 4)},
           {"SCHILY.xattr.user.z", "2"},
           {"SCHILY.acl.access", "user::rw-\nuser:5:r--\ngroup::r--\nmask::r--\nother::---\n"},
           {"SCHILY.acl.default", "other::r-x,user::rwx,group::r-x\t#effective:r--"},
           {"RHT.security.selinux", "unconfined"}})
      .member({})
      .end();
  const Member member = only(tar);
  const std::vector<Xattr> expected = {
      {"security.capability", std::string("\1\0\n\2", 4)}, {"user.a=b%", "x=y"}, {"user.b", "=wrong"}, {"user.z", "2"}};
  CHECK(member.xattrs == expected);
  CHECK(member.acl_access == "user::rw-,user:5:r--,group::r--,mask::r--,other::---");
  CHECK(member.acl_default == "user::rwx,group::r-x,other::r-x");
}

TEST_CASE("sparse files in all of GNU tar's formats") {
  const std::vector<MemberExtent> extents = {{0, 3}, {512, 2}, {1'000'000, 1}};
  const auto check = [&](const TarBuilder& tar) {
    const auto members = must_read(tar, 700);
    REQUIRE(members.size() == 2);
    CHECK(members[0].member.path == "s");
    CHECK(members[0].member.sparse);
    CHECK(members[0].member.size_bytes == 2'000'000);
    CHECK(members[0].member.stored_bytes == 6);
    CHECK(members[0].member.extents == extents);
    CHECK(members[0].data == "abcdef");
    CHECK(members[1].data == "next");
  };
  TarBuilder old;
  old.raw(old_sparse_header({.name = "s", .size_bytes = 6}, {{0, 1}, {1, 2}, {512, 2}, {600, 0}}, 2'000'000, true))
      .raw(old_sparse_block({{1'000'000, 1}, {2'000'000, 0}}, false))
      .raw("abcdef")
      .pad()
      .member({.name = "n"}, "next")
      .end();
  check(old);
  TarBuilder v00;
  v00.pax({{"GNU.sparse.size", "2000000"},
           {"GNU.sparse.numblocks", "3"},
           {"GNU.sparse.offset", "0"},
           {"GNU.sparse.numbytes", "3"},
           {"GNU.sparse.offset", "512"},
           {"GNU.sparse.numbytes", "2"},
           {"GNU.sparse.offset", "1000000"},
           {"GNU.sparse.numbytes", "1"}})
      .member({.name = "s"}, "abcdef")
      .member({.name = "n"}, "next")
      .end();
  check(v00);
  TarBuilder v01;
  v01.pax({{"GNU.sparse.name", "./s"},
           {"GNU.sparse.size", "2000000"},
           {"GNU.sparse.numblocks", "3"},
           {"GNU.sparse.map", "0,3,512,2,1000000,1"}})
      .member({.name = "./GNUSparseFile.1/s"}, "abcdef")
      .member({.name = "n"}, "next")
      .end();
  check(v01);
  std::string map = "4\n0\n3\n512\n2\n1000000\n1\n2000000\n0\n";
  map.resize(512);
  TarBuilder v10;
  v10.pax({{"GNU.sparse.major", "1"},
           {"GNU.sparse.minor", "0"},
           {"GNU.sparse.name", "./s"},
           {"GNU.sparse.realsize", "2000000"}})
      .member({.name = "./GNUSparseFile.1/s"}, map + "abcdef")
      .member({.name = "n"}, "next")
      .end();
  check(v10);
}

TEST_CASE("a sparse file that is one hole, and one that has none") {
  TarBuilder tar;
  std::string hole = "1\n4096\n0\n";
  std::string full = "1\n0\n4\n";
  hole.resize(512);
  full.resize(512);
  const auto keywords = [](const char* size) {
    return std::vector<std::pair<std::string, std::string>>{
        {"GNU.sparse.major", "1"}, {"GNU.sparse.minor", "0"}, {"GNU.sparse.realsize", size}};
  };
  tar.pax(keywords("4096")).member({.name = "hole"}, hole);
  tar.pax(keywords("4")).member({.name = "full"}, full + "data").end();
  const auto members = must_read(tar);
  CHECK(members[0].member.sparse);
  CHECK(members[0].member.extents.empty());
  CHECK(members[0].data.empty());
  CHECK_FALSE(members[1].member.sparse);
  CHECK(members[1].member.extents.empty());
  CHECK(members[1].data == "data");
}
