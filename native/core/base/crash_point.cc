#include "core/base/crash_point.h"

#include <signal.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <utility>

namespace vzv {

namespace {

constexpr std::array<std::pair<std::string_view, CrashPoint>, 5> kNames = {{
    {"pack-created", CrashPoint::kPackCreated},
    {"pack-synced", CrashPoint::kPackSynced},
    {"pack-published", CrashPoint::kPackPublished},
    {"segment-synced", CrashPoint::kSegmentSynced},
    {"segment-published", CrashPoint::kSegmentPublished},
}};

CrashPoint from_environment() {
  const char* name = std::getenv("VZVAULT_CRASH_AT");
  return name == nullptr ? CrashPoint::kNone : crash_point_of(name);
}

}  // namespace

CrashPoint crash_point_of(std::string_view name) {
  for (const auto& [known, point] : kNames) {
    if (known == name) return point;
  }
  return CrashPoint::kNone;
}

const CrashPoint armed_crash_point = from_environment();

void crash() {
  ::kill(::getpid(), SIGKILL);
  // The signal may take a moment to reach this thread, which must not go on meanwhile.
  while (true) ::pause();
}

}  // namespace vzv
