// What a test itself has taken so far.
#pragma once

#include <sys/resource.h>

#include <cstdint>
#include <ctime>

namespace vzv::test {

// What a sanitizer adds: memory that was freed is kept for a while, so that a late use is noticed (256 MiB), and its
// own record of every byte.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr std::uint64_t kSanitizerKib = 1024 * 1024;
#else
inline constexpr std::uint64_t kSanitizerKib = 0;
#endif

inline std::uint64_t peak_memory_kib() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<std::uint64_t>(usage.ru_maxrss);
}

// Of a processor, by the calling thread: other programs' work does not count.
inline double thread_seconds() {
  timespec time{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

}  // namespace vzv::test
