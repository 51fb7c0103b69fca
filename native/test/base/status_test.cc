#include "core/base/status.h"

#include <doctest/doctest.h>

#include <cerrno>
#include <memory>

using vzv::Code;
using vzv::Result;
using vzv::Status;
using vzv::storage_errno;

TEST_CASE("errno of the storage becomes the code that tells the administrator what to do") {
  CHECK(storage_errno(ENOSPC, "x").code() == Code::E_NO_SPACE);
  CHECK(storage_errno(EDQUOT, "x").code() == Code::E_NO_SPACE);
  CHECK(storage_errno(EROFS, "x").code() == Code::E_READ_ONLY);
  CHECK(storage_errno(EACCES, "x").code() == Code::E_PERMISSION);
  CHECK(storage_errno(EPERM, "x").code() == Code::E_PERMISSION);
  CHECK(storage_errno(EEXIST, "x").code() == Code::E_NAME_TAKEN);
  CHECK(storage_errno(ETIMEDOUT, "x").code() == Code::E_STORAGE_TIMEOUT);
  CHECK(storage_errno(EIO, "x").code() == Code::E_STORAGE_IO);
  CHECK(storage_errno(ESTALE, "x").code() == Code::E_STORAGE_IO);
  CHECK(storage_errno(ENOSPC, "writing config").message() == "writing config: No space left on device");
  CHECK(storage_errno(123456, "x").message() == "x: error 123456");
}

TEST_CASE("a code's name is what stands in the error table") {
  CHECK(vzv::code_name(Code::kOk) == "OK");
  CHECK(vzv::code_name(Code::E_CHUNK_DAMAGED) == "E_CHUNK_DAMAGED");
}

TEST_CASE("a result holds a value or a status, also of what can only be moved") {
  Result<std::unique_ptr<int>> value(std::make_unique<int>(1));
  CHECK(value.ok());
  CHECK(value.status().ok());
  const std::unique_ptr<int> taken = std::move(value).value();
  CHECK(*taken == 1);
  const Result<std::unique_ptr<int>> error(Status(Code::E_STORAGE_IO, "gone"));
  CHECK_FALSE(error.ok());
  CHECK(error.status().code() == Code::E_STORAGE_IO);
  CHECK(error.status().message() == "gone");
}
