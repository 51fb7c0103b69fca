#include "core/base/crash_point.h"

#include <doctest/doctest.h>

using namespace vzv;

TEST_CASE("a crash point is known by its name, any other name is none of them") {
  CHECK(crash_point_of("pack-created") == CrashPoint::kPackCreated);
  CHECK(crash_point_of("pack-synced") == CrashPoint::kPackSynced);
  CHECK(crash_point_of("pack-published") == CrashPoint::kPackPublished);
  CHECK(crash_point_of("segment-synced") == CrashPoint::kSegmentSynced);
  CHECK(crash_point_of("segment-published") == CrashPoint::kSegmentPublished);
  CHECK(crash_point_of("") == CrashPoint::kNone);
  CHECK(crash_point_of("pack-") == CrashPoint::kNone);
  CHECK(crash_point_of("snapshot-published") == CrashPoint::kNone);
}

TEST_CASE("a process that is not told to crash passes every point") {
  CHECK(armed_crash_point == CrashPoint::kNone);
  pass_crash_point(CrashPoint::kNone);
  pass_crash_point(CrashPoint::kPackSynced);
}
