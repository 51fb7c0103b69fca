// Bounds a JSON text before a document is made of it: nesting, number of values, no key twice in an object.
#pragma once

#include <string_view>

#include "core/base/status.h"

namespace vzv::fuse {

// E_ARGUMENT_INVALID where `json` is not one JSON value or goes beyond the bounds of a mount spec.
Status check_json(std::string_view json);

}  // namespace vzv::fuse
