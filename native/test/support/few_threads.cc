#include "test/support/few_threads.h"

#include <dlfcn.h>
#include <pthread.h>

#include <atomic>
#include <cerrno>
#include <climits>

namespace {

std::atomic<int> threads_left{INT_MAX};

}  // namespace

// The program's own definition comes before those of the libraries, a sanitizer's among them, to which it leads on.
extern "C" int pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*start)(void*),
                              void* argument) noexcept {
  static const auto real = reinterpret_cast<decltype(&pthread_create)>(::dlsym(RTLD_NEXT, "pthread_create"));
  if (threads_left.fetch_sub(1) <= 0) {
    threads_left.fetch_add(1);
    return EAGAIN;
  }
  return real(thread, attributes, start, argument);
}

namespace vzv::test {

FewThreads::FewThreads(int left) { threads_left = left; }
FewThreads::~FewThreads() { threads_left = INT_MAX; }

}  // namespace vzv::test
