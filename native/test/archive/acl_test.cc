// ACLs have one spelling in a catalogue, whatever tar writes.
#include "core/archive/acl.h"

#include <doctest/doctest.h>

using namespace vzv;

namespace {

AclTranslator translator() {
  return AclTranslator([](AclTag tag, const std::string& name) -> std::optional<std::uint32_t> {
    if (name == "games") return tag == AclTag::kUser ? 5 : 60;
    return std::nullopt;
  });
}

std::string translated(const std::string& text) {
  const Result<std::string> acl = translator().translate(text);
  return acl.ok() ? *acl : acl.status().message();
}

}  // namespace

TEST_CASE("what tar writes becomes numbers in the kernel's order") {
  CHECK(translated("user::rw-\nuser:games:r--\ngroup::r--\ngroup:games:-w-\nmask::rwx\nother::--x\n") ==
        "user::rw-,user:5:r--,group::r--,group:60:-w-,mask::rwx,other::--x");
  CHECK(translated("o::---,m::r--,g:70:r--,u:7:rwx  #effective:r--,u:6:---,u::rwx,g::r-x") ==
        "user::rwx,user:6:---,user:7:rwx,group::r-x,group:70:r--,mask::r--,other::---");
  CHECK(translated("user::rwx,group::rwx,other::rwx") == "user::rwx,group::rwx,other::rwx");
}

TEST_CASE("what is no ACL is refused") {
  for (const char* text :
       {"x", "user::rwx", "user::rwx,group::rwx,other::rwz", "user::rwx,user::r-x,group::rwx,other::rwx",
        "user::rwx,user:5:r--,group::rwx,other::rwx", "user::rwx,user:5:r--,user:5:rw-,group::rwx,mask::rwx,other::rwx",
        "mask:5:rwx,user::rwx,group::rwx,other::rwx", "default:user::rwx,group::rwx,other::rwx"}) {
    CHECK_MESSAGE(translated(text) == "its ACL is not valid", text);
    CHECK_FALSE(parse_acl(text));
  }
  CHECK(translated("user:no\nbody:rwx,user::rwx") == "its ACL is not valid");
  CHECK(translated("user:nobody\x01:rwx") == "its ACL names 'nobody\\001', whom this system does not know");
}

TEST_CASE("the catalogue takes its own spelling only") {
  const std::string text = "user::rwx,user:5:---,user:4294967295:r--,group::r-x,group:0:r--,mask::r--,other::---";
  const auto entries = parse_acl(text);
  REQUIRE(entries);
  REQUIRE(entries->size() == 7);
  CHECK((*entries)[2] == AclEntry{AclTag::kUser, 4'294'967'295U, 4});
  CHECK(format_acl(*entries) == text);
  for (const char* bad :
       {"", ",", "u::rwx,group::rwx,other::rwx", "user::rwx,group::rwx,other::rwx,", "group::rwx,user::rwx,other::rwx",
        "user::rwx,user:05:r--,group::rwx,mask::rwx,other::rwx",
        "user::rwx,user:games:r--,group::rwx,mask::rwx,other::rwx",
        "user::rwx,user:4294967296:r--,group::rwx,mask::rwx,other::rwx", "user::rwx\ngroup::rwx\nother::rwx"}) {
    CHECK_MESSAGE(!parse_acl(bad), bad);
  }
}

TEST_CASE("this system's users and groups are known") {
  AclTranslator system;
  const auto acl = system.translate("user::rwx,user:root:rwx,group::r-x,group:root:r-x,mask::rwx,other::---");
  REQUIRE(acl.ok());
  CHECK(*acl == "user::rwx,user:0:rwx,group::r-x,group:0:r-x,mask::rwx,other::---");
}
