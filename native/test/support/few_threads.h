// A system that has few threads left: pthread_create of this program fails with EAGAIN, as where RLIMIT_NPROC or a
// unit's TasksMax is met (neither binds a test that root runs).
#pragma once

#include <doctest/doctest.h>

#include "core/base/status.h"

namespace vzv::test {

// While one lives, so many more threads can be started. One at a time.
class FewThreads {
 public:
  explicit FewThreads(int left);
  ~FewThreads();
  FewThreads(const FewThreads&) = delete;
  FewThreads& operator=(const FewThreads&) = delete;
};

// What `job` (which answers a Status) says where no thread is left, and where it gets one of those that it needs, which
// it has to end then.
template <typename Job>
void check_needs_threads(Job job) {
  for (const int left : {0, 1}) {
    const FewThreads few(left);
    const Status status = job();
    CHECK(status.code() == Code::E_INTERNAL);
    CHECK(status.message() == "the system has no thread left");
  }
}

}  // namespace vzv::test
