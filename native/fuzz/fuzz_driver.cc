#include "fuzz/fuzz_driver.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <string>
#include <string_view>

#include "core/base/file.h"

namespace vzv::fuzz {

namespace {

// Lengths, counts and offsets that decoders stumble over.
constexpr std::uint64_t kOdd[] = {0,
                                  1,
                                  2,
                                  0x7f,
                                  0x80,
                                  0xff,
                                  0x100,
                                  0x7fff,
                                  0x8000,
                                  0xffff,
                                  0x10000,
                                  0x7fffffff,
                                  0x80000000,
                                  0xffffffff,
                                  0x100000000,
                                  0x7fffffffffffffff,
                                  0x8000000000000000,
                                  0xffffffffffffffff};
// A mutation may make an input this much longer than its sample.
constexpr std::size_t kGrowthMaxBytes = 4096;

// What the signal handler says; set before each run.
std::uint64_t current_seed = 0;
std::uint64_t current_run = 0;
Bytes current_input;

void print(std::string_view text) { (void)!::write(STDERR_FILENO, text.data(), text.size()); }

void print_number(std::uint64_t value) {
  char digits[20];
  std::size_t at = sizeof digits;
  do {
    digits[--at] = static_cast<char>('0' + value % 10);
    value /= 10;
  } while (value != 0);
  print({digits + at, sizeof digits - at});
}

// Only what may be called from a signal handler.
void report_crash(int number) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  print("\nfuzzing failed: --seed ");
  print_number(current_seed);
  print(", run ");
  print_number(current_run);
  print(", input ");
  for (const std::uint8_t byte : current_input) {
    print(kDigits.substr(byte >> 4, 1));
    print(kDigits.substr(byte & 15, 1));
  }
  print("\n");
  ::signal(number, SIG_DFL);
  ::raise(number);
}

}  // namespace

std::uint64_t Mutator::random() {
  state_ += 0x9e3779b97f4a7c15;
  std::uint64_t z = state_;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

std::uint64_t Mutator::below(std::uint64_t bound) { return random() % bound; }

void Mutator::overwrite_integer(Bytes& bytes) {
  const std::size_t width = std::size_t{1} << below(4);
  if (bytes.size() < width) return;
  const std::size_t at = below(bytes.size() - width + 1);
  std::uint64_t value = below(4) == 0 ? random() : kOdd[below(std::size(kOdd))];
  if (below(4) == 0) value = bytes.size() - below(64);  // near the length: off by one and the like
  for (std::size_t i = 0; i < width; ++i) bytes[at + i] = static_cast<std::uint8_t>(value >> (8 * i));
}

// Puts a piece of some sample, or of the input itself, over another place.
void Mutator::splice(Bytes& bytes) {
  const Bytes from = below(2) == 0 ? bytes : samples_[below(samples_.size())];
  if (from.empty() || bytes.empty()) return;
  const std::size_t begin = below(from.size());
  const std::size_t to = below(bytes.size());
  const std::size_t length = 1 + below(std::min(from.size() - begin, bytes.size() - to));
  std::memcpy(bytes.data() + to, from.data() + begin, length);
}

void Mutator::mutate(Bytes& bytes) {
  const auto position = [&] { return bytes.begin() + static_cast<std::ptrdiff_t>(below(bytes.size() + 1)); };
  switch (below(7)) {
    case 0:
      if (!bytes.empty()) bytes[below(bytes.size())] ^= static_cast<std::uint8_t>(1U << below(8));
      break;
    case 1:
      if (!bytes.empty()) bytes[below(bytes.size())] = static_cast<std::uint8_t>(random());
      break;
    case 2:
      overwrite_integer(bytes);
      break;
    case 3:
      splice(bytes);
      break;
    case 4:
      bytes.resize(below(bytes.size() + 1));
      break;
    case 5:
      bytes.insert(position(), 1 + below(64), static_cast<std::uint8_t>(random()));
      break;
    default: {
      const auto begin = position();
      const auto rest = static_cast<std::uint64_t>(bytes.end() - begin);
      bytes.erase(begin, begin + static_cast<std::ptrdiff_t>(std::min<std::uint64_t>(rest, below(64))));
      break;
    }
  }
}

Bytes Mutator::next() {
  if (below(16) == 0) {
    Bytes bytes(below(512));
    for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(random());
    return bytes;
  }
  Bytes bytes = samples_[below(samples_.size())];
  const std::size_t longest = bytes.size() + kGrowthMaxBytes;
  for (std::uint64_t count = 1 + below(4); count > 0; --count) mutate(bytes);
  if (bytes.size() > longest) bytes.resize(longest);
  return bytes;
}

Options parse_options(int argc, char** argv, const char* name) {
  Options options;
  random_bytes({reinterpret_cast<std::uint8_t*>(&options.seed), sizeof options.seed});
  for (int i = 1; i < argc; i += 2) {
    const std::string_view option = argv[i];
    char* end = nullptr;
    if (i + 1 < argc && option == "--seed") {
      options.seed = std::strtoull(argv[i + 1], &end, 10);
    } else if (i + 1 < argc && option == "--seconds") {
      options.seconds = std::strtod(argv[i + 1], &end);
    }
    if (end == nullptr || *end != '\0' || end == argv[i + 1]) {
      std::fprintf(stderr, "usage: %s [--seed N] [--seconds N]\n", name);
      std::exit(2);
    }
  }
  std::printf("%s: --seed %llu\n", name, static_cast<unsigned long long>(options.seed));
  std::fflush(stdout);
  return options;
}

std::uint64_t run(const Options& options) {
  for (const int number : {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL}) ::signal(number, report_crash);
  current_seed = options.seed;
  // The samples themselves first: a target that refuses its own is no test.
  for (const Bytes& sample : samples()) {
    current_input = sample;
    (void)LLVMFuzzerTestOneInput(sample.data(), sample.size());
  }
  Mutator mutator(options.seed, samples());
  const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(options.seconds);
  for (current_run = 1; std::chrono::steady_clock::now() < end; ++current_run) {
    // Handed over in memory of exactly its size, so that the address sanitizer sees a read past its end.
    current_input = mutator.next();
    current_input.shrink_to_fit();
    (void)LLVMFuzzerTestOneInput(current_input.data(), current_input.size());
  }
  return current_run - 1;
}

}  // namespace vzv::fuzz
