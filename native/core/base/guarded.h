// Where threads and memory run out: the exceptions of the standard library become errors before they meet the top of a
// thread, where they would end the process and every other backup in it.
#pragma once

#include <new>
#include <system_error>

#include "core/base/status.h"

namespace vzv {

// Runs `function`, which answers a Status or a Result; E_INTERNAL where the system had no memory or no thread left.
template <typename Function>
auto guarded(Function function) -> decltype(function()) {
  try {
    return function();
  } catch (const std::bad_alloc&) {
    return Status(Code::E_INTERNAL, "the system has no memory left");
  } catch (const std::system_error&) {
    return Status(Code::E_INTERNAL, "the system has no thread left");
  }
}

}  // namespace vzv
