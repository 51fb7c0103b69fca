// What a fuzz target offers, and the driver that calls it (fuzz_driver.cc).
//
// The driver mutates valid samples and makes random bytes from a seed, which it prints; the same seed gives the same
// inputs on every machine. An input that breaks something ends the program with a message that holds the seed, the
// number of the run, and the input in hex.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "core/base/id.h"

// Defined by the target: runs the code under test, which must neither crash nor break a FUZZ_CHECK, whatever the bytes.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace vzv::fuzz {

// Defined by the target: valid inputs to begin with, at least one.
std::vector<Bytes> samples();

// Defined by the driver. The same seed makes the same inputs.
class Mutator {
 public:
  Mutator(std::uint64_t seed, std::vector<Bytes> samples) : state_(seed), samples_(std::move(samples)) {}
  Bytes next();

 private:
  std::uint64_t random();                    // splitmix64
  std::uint64_t below(std::uint64_t bound);  // REQUIRES: bound > 0
  void mutate(Bytes& bytes);
  void overwrite_integer(Bytes& bytes);
  void splice(Bytes& bytes);

  std::uint64_t state_;
  const std::vector<Bytes> samples_;
};

struct Options {
  std::uint64_t seed;
  double seconds = 10;
};

// Of --seed N and --seconds N; without a seed, a random one. Prints the seed. Ends the program on anything else.
Options parse_options(int argc, char** argv, const char* name);

// Mutates and runs until the time is over. Answers the number of runs.
std::uint64_t run(const Options& options);

}  // namespace vzv::fuzz

// A property that must hold for every input.
#define FUZZ_CHECK(condition)                                                             \
  do {                                                                                    \
    if (!(condition)) {                                                                   \
      std::fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition); \
      std::abort();                                                                       \
    }                                                                                     \
  } while (false)
