// Strict base64 (RFC 4648 section 4) decoding, for the small files that a mount spec carries.
#pragma once

#include <optional>
#include <string_view>

#include "core/base/id.h"

namespace vzv::fuse {

// The bytes that `text` encodes; nothing where it is not canonical: another alphabet, white space, missing or surplus
// padding, bits set beyond the last byte.
std::optional<Bytes> decode_base64(std::string_view text);

}  // namespace vzv::fuse
