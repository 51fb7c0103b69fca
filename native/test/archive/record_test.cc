// Records of a catalogue: what is written is read, there is one way to write it, and nothing else is taken.
#include <doctest/doctest.h>

#include <map>

#include "core/archive/catalogue_record.h"
#include "core/archive/stream_node.h"
#include "core/base/sha256.h"
#include "test/archive/sample_members.h"

using namespace vzv;
using namespace vzv::test;

namespace {

Bytes encode(const std::vector<Member>& members) {
  RecordEncoder encoder;
  Bytes piece;
  for (const Member& member : members) {
    const Status status = encoder.append(member, piece);
    REQUIRE_MESSAGE(status.ok(), status.message());
  }
  return piece;
}

Result<std::vector<Member>> decode(ByteSpan piece) {
  RecordDecoder decoder(piece);
  std::vector<Member> members;
  while (!decoder.at_end()) {
    Member member;
    VZV_TRY(decoder.next(member));
    members.push_back(std::move(member));
  }
  return members;
}

// Why the encoder does not take it.
std::string refusal(const Member& member) {
  Bytes piece;
  const Status status = RecordEncoder().append(member, piece);
  REQUIRE(status.code() == Code::E_ARCHIVE_INVALID);
  CHECK(piece.empty());
  CHECK(status.message().find('\n') == std::string::npos);
  return status.message();
}

}  // namespace

TEST_CASE("members of every kind come back as they were") {
  const std::vector<Member> members = sample_members();
  const auto again = decode(encode(members));
  REQUIRE_MESSAGE(again.ok(), again.status().message());
  REQUIRE(again->size() == members.size());
  for (std::size_t i = 0; i < members.size(); ++i) CHECK_MESSAGE((*again)[i] == members[i], members[i].path);
}

TEST_CASE("the documented record, byte by byte") {
  Member directory = sample_member(MemberType::kDirectory, "etc");
  directory.uid = directory.gid = 0;
  directory.mtime_seconds = 1;
  directory.mtime_nanoseconds = 0;
  Member file = directory;
  file.type = MemberType::kFile;
  file.path = "etc/a";
  file.mode = 0644;
  file.mtime_nanoseconds = 500;
  file.sparse = true;
  file.size_bytes = 300;
  file.stored_bytes = 7;
  file.extents = {{2, 3}, {200, 4}};
  file.xattrs = {{"user.x", "yz"}};
  const Bytes expected = {2,    0,    0,   3,   'e', 't', 'c',  0xed, 0x03, 0,   0,  2,    0,     // the directory
                          1,    3,    3,   2,   '/', 'a', 0xa4, 0x03, 0,    0,   2,  0xf4, 0x03,  // the file
                          0xac, 0x02, 7,   2,   2,   3,   0xc3, 0x01, 4,                // its size and extents
                          1,    6,    'u', 's', 'e', 'r', '.',  'x',  2,    'y', 'z'};  // its attribute
  CHECK(encode({directory, file}) == expected);
  const Id id = sha256(expected);
  CHECK(id.hex() == "906bb68648396b0970c3048d5b4ef96f55507f4636959dd4e788cb3f9ea4ac25");
  CHECK(sha256(encode_stream_node(0, {{id, expected.size()}})).hex() ==
        "5f0ed7ab5747378a772bcb123a7d77ad37918f43f7c147fdf1a956c39924cdc5");
}

TEST_CASE("a record that is cut, or changed in a byte, is refused or read as what would be written so") {
  const Bytes piece = encode(sample_members());
  for (std::size_t length = 0; length < piece.size(); ++length) {
    const auto cut = decode(ByteSpan(piece).first(length));
    if (cut.ok()) CHECK(encode(*cut) == Bytes(piece.begin(), piece.begin() + static_cast<std::ptrdiff_t>(length)));
  }
  for (std::size_t at = 0; at < piece.size(); ++at) {
    for (const unsigned flip : {1U, 2U, 4U, 8U, 16U, 32U, 64U, 128U, 255U}) {
      Bytes changed = piece;
      changed[at] = static_cast<std::uint8_t>(changed[at] ^ flip);
      const auto members = decode(changed);
      if (members.ok()) CHECK(encode(*members) == changed);
      if (!members.ok()) CHECK(members.status().code() == Code::E_CATALOGUE_DAMAGED);
    }
  }
}

TEST_CASE("counts and lengths beyond what is there are refused before anything is allocated") {
  const Bytes file_with_extents = {1, 1, 0, 1, 'a', 0, 0, 0, 0, 0, 100, 0, 0xff, 0xff, 0x00};
  CHECK_FALSE(decode(file_with_extents).ok());
  const Bytes many_xattrs = {2, 2, 0, 1, 'a', 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f, 1, 1, 1};
  CHECK_FALSE(decode(many_xattrs).ok());
  const Bytes long_path = {2, 0, 0, 0xff, 0xff, 0x7f, 'a'};
  CHECK_FALSE(decode(long_path).ok());
  const Bytes long_number = {2, 0, 0, 1, 'a', 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1};
  CHECK_FALSE(decode(long_number).ok());
}

TEST_CASE("paths that could lead out of the archive, or that no system has, are refused") {
  const std::map<std::string, std::string> bad = {{"../etc/passwd", "'..'"},
                                                  {"a/../../b", "'..'"},
                                                  {"/etc/passwd", "empty"},
                                                  {"a//b", "empty"},
                                                  {"a/", "empty"},
                                                  {"./a", "'.'"},
                                                  {"a/.", "'.'"},
                                                  {std::string(256, 'a'), "256"},
                                                  {std::string("a\0b", 3), "NUL"},
                                                  {"a\n../..", "'..'"}};
  for (const auto& [path, why] : bad) {
    const std::string message = refusal(sample_member(MemberType::kFifo, path));
    CHECK_MESSAGE(message.find(why) != std::string::npos, message);
  }
  std::string deep;
  while (deep.size() <= limits::kMemberPathMaxBytes) deep += "directory/";
  refusal(sample_member(MemberType::kFifo, deep + "a"));
  CHECK(path_problem("a\nb/..c/... /\xff").empty());
}

TEST_CASE("members that contradict themselves are refused") {
  Member file = sample_file("a", 10);
  file.stored_bytes = 9;
  refusal(file);
  refusal(sample_sparse("a", 10, {{5, 6}}));
  refusal(sample_sparse("a", 10, {{0, 5}, {5, 1}}));
  refusal(sample_sparse("a", 10, {{4, 2}, {0, 1}}));
  refusal(sample_sparse("a", 10, {{3, 0}}));
  refusal(sample_file("a", 1ULL << 53));
  refusal(sample_file("", 1));
  Member link = sample_member(MemberType::kHardLink, "a");
  refusal(link);
  link.link_target = "../b";
  refusal(link);
  link.type = MemberType::kSymlink;
  CHECK(member_problem(link).empty());
  link.link_target = std::string(limits::kSymlinkTargetMaxBytes + 1, 'a');
  refusal(link);
  for (const MemberType type : {MemberType::kCharDevice, MemberType::kBlockDevice}) {
    Member device = sample_member(type, "a");
    device.device_major = 4'095;
    device.device_minor = 1'048'575;
    CHECK(member_problem(device).empty());
    ++device.device_minor;
    refusal(device);
    --device.device_minor;
    ++device.device_major;
    refusal(device);
  }
  Member member = sample_member(MemberType::kDirectory, "a");
  member.mode = 010000;
  refusal(member);
  member.mode = 0;
  member.xattrs = {{"user.b", ""}, {"user.a", ""}};
  refusal(member);
  member.xattrs = {{"user.a", ""}, {"user.a", ""}};
  refusal(member);
  member.xattrs = {{"user.a", std::string(limits::kXattrValueMaxBytes + 1, 'x')}};
  refusal(member);
}

TEST_CASE("messages show names on one line") {
  CHECK(printable("a\nb\\\xc3\xa4") == "a\\012b\\134\\303\\244");
  CHECK(printable(std::string(1000, 'a')).size() < 210);
}
