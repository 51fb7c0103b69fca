// Places where a test has the process end as a power cut would: with SIGKILL, in the middle of a backup.
//
// VZVAULT_CRASH_AT names the place; it is read once, when the program starts. Names that are not listed here are left
// to others who know them. Unarmed, a place costs one branch. Thread-safe.
#pragma once

#include <string_view>

namespace vzv {

enum class CrashPoint {
  kNone,              // not armed
  kPackCreated,       // pack-created: a pack was begun in tmp/
  kPackSynced,        // pack-synced: its bytes are durable, its name is still that of tmp/
  kPackPublished,     // pack-published: it has its own name, durably, and no segment lists it
  kSegmentSynced,     // segment-synced: a segment's bytes are durable, its name is still that of tmp/
  kSegmentPublished,  // segment-published: it has its own name, durably
};

// kNone for a name that is none of these.
CrashPoint crash_point_of(std::string_view name);

// What this process was started with.
extern const CrashPoint armed_crash_point;

[[noreturn]] void crash();

inline void pass_crash_point(CrashPoint point) {
  if (armed_crash_point == point && point != CrashPoint::kNone) [[unlikely]]
    crash();
}

}  // namespace vzv
