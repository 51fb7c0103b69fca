// Takes the repository's key out of a mount spec before anything else looks at the text: a JSON library would leave
// copies of it in memory that nobody wipes.
#pragma once

#include <span>

#include "core/base/status.h"
#include "core/store/repository_keys.h"

namespace vzv::fuse {

// What a key's 44 base64 digits are overwritten with.
inline constexpr char kTakenDigit = '*';

// Loads what the member "key" of the spec's object holds, base64 of 32 bytes, and overwrites it in `json`; null where
// there is none. E_ARGUMENT_INVALID where it is anything else. `json` need not be JSON: that is looked at later.
Result<RepositoryKeysPtr> take_key(std::span<char> json);

}  // namespace vzv::fuse
