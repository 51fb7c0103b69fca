#include "core/store/seal.h"

#include "core/base/file.h"

namespace vzv {

namespace {

Status unknown_suite(Suite suite) {
  return {Code::E_SUITE_UNKNOWN, "suite " + std::to_string(static_cast<unsigned>(suite)) + " is not known"};
}

}  // namespace

Salt new_salt() {
  Salt salt;
  random_bytes(salt);
  return salt;
}

Result<Bytes> seal(const SealContext& context, Bytes encoded) {
  if (context.suite != Suite::kNone) return unknown_suite(context.suite);
  return encoded;
}

Status open_sealed(const SealContext& context, Codec codec, ByteSpan stored, std::span<std::uint8_t> plain) {
  if (context.suite != Suite::kNone) return unknown_suite(context.suite);
  return decode(codec, stored, plain);
}

}  // namespace vzv
