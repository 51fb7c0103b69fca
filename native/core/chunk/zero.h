// Zero detection: chunks that are all zero are neither stored nor read. Pure, thread-safe.
#pragma once

#include "core/base/id.h"

namespace vzv {

// True where every byte is zero, and for no bytes at all. Runs at memory speed; ends at the first block that holds
// data.
bool is_zero(ByteSpan bytes);

}  // namespace vzv
