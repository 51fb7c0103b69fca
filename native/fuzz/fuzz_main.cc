// The program around a fuzz target: runs it for the time that it is told and says how often.
#include <cstring>

#include "fuzz/fuzz_driver.h"

int main(int argc, char** argv) {
  const char* const slash = std::strrchr(argv[0], '/');
  const vzv::fuzz::Options options = vzv::fuzz::parse_options(argc, argv, slash == nullptr ? argv[0] : slash + 1);
  const std::uint64_t runs = vzv::fuzz::run(options);
  std::printf("%llu runs, nothing found\n", static_cast<unsigned long long>(runs));
  return 0;
}
