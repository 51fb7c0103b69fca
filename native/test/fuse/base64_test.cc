#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include "fuse/base64.h"

#include <doctest/doctest.h>

#include <string>

using vzv::fuse::decode_base64;

namespace {

std::string text(const std::optional<vzv::Bytes>& bytes) {
  return bytes ? std::string(bytes->begin(), bytes->end()) : "(refused)";
}

}  // namespace

TEST_CASE("decodes the test vectors of RFC 4648") {
  CHECK(text(decode_base64("")) == "");
  CHECK(text(decode_base64("Zg==")) == "f");
  CHECK(text(decode_base64("Zm8=")) == "fo");
  CHECK(text(decode_base64("Zm9v")) == "foo");
  CHECK(text(decode_base64("Zm9vYg==")) == "foob");
  CHECK(text(decode_base64("Zm9vYmE=")) == "fooba");
  CHECK(text(decode_base64("Zm9vYmFy")) == "foobar");
  CHECK(decode_base64("//79")->at(0) == 0xff);
}

TEST_CASE("refuses what is not canonical base64") {
  for (const char* bad : {"Z", "Zg", "Zg=", "Zg===", "=", "====", "Zm9v\n", "Zm 9",
                          "Zh==", "Zm9=", "Zg==Zg==", "Z===", "_w==", "Zm9v=A=="}) {
    CAPTURE(bad);
    CHECK_FALSE(decode_base64(bad).has_value());
  }
}
