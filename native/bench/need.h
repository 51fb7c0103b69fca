// Programs that end with the first thing that goes wrong.
#pragma once

#include <errno.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>

#include "core/base/status.h"

namespace vzv {

[[noreturn]] inline void give_up(const std::string& why) {
  std::fprintf(stderr, "%s: %s\n", program_invocation_short_name, why.c_str());
  std::exit(1);
}

inline void need(const Status& status) {
  if (!status.ok()) give_up(std::string(code_name(status.code())) + ": " + status.message());
}
template <typename T>
T need(Result<T> result) {
  need(result.status());
  return std::move(result).value();
}

}  // namespace vzv
