// How many threads the stages of a pipeline use.
#pragma once

#include <algorithm>
#include <thread>

#include "core/base/limits.h"

namespace vzv {

inline unsigned default_workers() {
  return std::clamp(std::thread::hardware_concurrency(), limits::kWorkersMin, limits::kWorkersMax);
}

}  // namespace vzv
