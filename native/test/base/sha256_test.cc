#include "core/base/sha256.h"

#include <doctest/doctest.h>

#include "core/base/bytes.h"

using vzv::as_bytes;
using vzv::Sha256;
using vzv::sha256;

// FIPS 180-4 examples.
TEST_CASE("SHA-256 of known texts") {
  CHECK(sha256({}).hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(sha256(as_bytes("abc")).hex() == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(sha256(vzv::Bytes(1'000'000, 'a')).hex() == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST_CASE("pieces hash like the whole, and a finished hash begins anew") {
  Sha256 hash;
  hash.update(as_bytes("a"));
  hash.update({});
  hash.update(as_bytes("bc"));
  CHECK(hash.finish() == sha256(as_bytes("abc")));
  CHECK(hash.finish() == sha256({}));
  Sha256 moved(std::move(hash));
  moved.update(as_bytes("abc"));
  CHECK(moved.finish() == sha256(as_bytes("abc")));
}
