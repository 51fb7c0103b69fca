// What a verification finds wrong, collected from several threads. Thread-safe.
#pragma once

#include <cstdint>
#include <mutex>
#include <utility>
#include <vector>

#include "core/base/limits.h"
#include "core/base/status.h"

namespace vzv {

// Whether the error says something about what is stored, and not about the storage as a whole.
constexpr bool is_damage(Code code) {
  switch (code) {
    case Code::E_CHUNK_DAMAGED:
    case Code::E_CHUNK_MISSING:
    case Code::E_PACK_DAMAGED:
    case Code::E_PACK_MISSING:
    case Code::E_SEGMENT_DAMAGED:
    case Code::E_MAP_DAMAGED:
    case Code::E_CATALOGUE_DAMAGED:
    case Code::E_SUITE_UNKNOWN:
    case Code::E_SUITE_MISMATCH:
    case Code::E_STORAGE_IO:  // a sector that cannot be read is what verification is for
      return true;
    default:
      return false;
  }
}

class Damages {
 public:
  struct List {
    std::uint64_t count = 0;     // also of what is not listed
    std::vector<Status> listed;  // at most kDamagesListedMax
  };

  // Success where the status is a damage, otherwise the status.
  Status take(const Status& status) {
    if (!is_damage(status.code())) return status;
    std::lock_guard lock(mutex_);
    ++list_.count;
    if (list_.listed.size() < limits::kDamagesListedMax) list_.listed.push_back(status);
    return {};
  }

  // All that was taken. REQUIRES: called once, last.
  List list() {
    std::lock_guard lock(mutex_);
    return std::move(list_);
  }

 private:
  std::mutex mutex_;
  List list_;  // GUARDED BY mutex_
};

}  // namespace vzv
