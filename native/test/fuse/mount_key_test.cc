#include "fuse/mount_key.h"

#include <doctest/doctest.h>

#include <string>

#include "fuse/mount_spec.h"

using namespace vzv;
using vzv::fuse::take_key;

namespace {

// 32 bytes of 0x42.
constexpr const char* kDigits = "QkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkI=";
const std::string kTaken(44, '*');

std::string spec_with(const std::string& fields) {
  return R"({"version": 1, "repository": "/r", "cacheDirectory": "/c", )" + fields + R"("nodes": []})";
}

std::string member(const std::string& digits) { return R"("key": ")" + digits + R"(", )"; }

}  // namespace

TEST_CASE("the key is taken out of a spec and leaves no trace in it") {
  std::string spec = spec_with(member(kDigits));
  const auto keys = take_key(spec);
  REQUIRE(keys.ok());
  REQUIRE(*keys != nullptr);
  CHECK(keys.value()->fingerprint() == RepositoryKeys::load(Bytes(32, 0x42)).value()->fingerprint());
  CHECK(spec == spec_with(member(kTaken)));
  const auto parsed = vzv::fuse::parse_mount_spec(spec);
  REQUIRE(parsed.ok());
  CHECK(parsed->has_key);
  CHECK(parsed->key_fingerprint.empty());
}

TEST_CASE("a spec without a key has none, whatever else is called so") {
  for (const std::string& text :
       {spec_with(""), std::string(R"({"nodes": [{"key": "x"}], "a": {"key": "y"}, "b": "key", "c": ["key", "z"]})"),
        std::string(R"({"a\"key": "key", "k": "\"key\": \"x\""})"), std::string(R"(["key", "x"])"), std::string("{"),
        std::string("\""), std::string("\"key\\"), std::string()}) {
    CAPTURE(text);
    std::string copy = text;
    const auto keys = take_key(copy);
    REQUIRE(keys.ok());
    CHECK(*keys == nullptr);
    CHECK(copy == text);
  }
}

TEST_CASE("a key that is not base64 of 32 bytes is refused without being repeated") {
  for (const std::string& digits : {std::string(), std::string("secret"), std::string("QkJC"), std::string(44, '!'),
                                    std::string(kDigits) + "QkJC", std::string(R"(\u0051)") + kDigits}) {
    std::string spec = spec_with(member(digits));
    const Status status = take_key(spec).status();
    CHECK(status.code() == Code::E_ARGUMENT_INVALID);
    if (!digits.empty()) CHECK(status.message().find(digits) == std::string::npos);
    if (!digits.empty()) CHECK(spec.find("\"" + digits + "\"") == std::string::npos);
  }
}

TEST_CASE("a key that was not taken, or a fingerprint without a key, refuses the spec") {
  const std::string escaped = spec_with(std::string(R"("\u006bey": ")") + kDigits + R"(", )");
  std::string copy = escaped;
  CHECK(take_key(copy).value() == nullptr);
  const auto refused = vzv::fuse::parse_mount_spec(escaped);
  CHECK(refused.status().code() == Code::E_ARGUMENT_INVALID);
  CHECK(refused.status().message().find("key") != std::string::npos);
  CHECK(refused.status().message().find(kDigits) == std::string::npos);
  CHECK_FALSE(vzv::fuse::parse_mount_spec(spec_with(R"("keyFingerprint": "00", )")).ok());
  CHECK(vzv::fuse::parse_mount_spec(spec_with(member(kTaken) + R"("keyFingerprint": "00", )"))->key_fingerprint ==
        "00");
  CHECK_FALSE(vzv::fuse::parse_mount_spec(spec_with(R"("key": 5, )")).ok());
}
