// A key of 32 bytes that is wiped when it goes.
//
// Neither copied nor moved, so that there is one place in memory to wipe: it is made where it stays. Never printed.
// Thread-safe once it is filled.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "core/base/id.h"

namespace vzv {

// Overwrites bytes that were secret, in a way that the compiler does not leave out.
void wipe(std::span<std::uint8_t> bytes);

class SecretKey {
 public:
  static constexpr std::size_t kBytes = 32;

  SecretKey() = default;
  ~SecretKey() { wipe(bytes_); }
  SecretKey(const SecretKey&) = delete;
  SecretKey& operator=(const SecretKey&) = delete;

  ByteSpan bytes() const { return bytes_; }
  std::span<std::uint8_t, kBytes> fill() { return bytes_; }

 private:
  std::array<std::uint8_t, kBytes> bytes_{};
};

// Of containers that held a secret, whatever they were moved about in memory.
template <typename T>
struct WipingAllocator {
  using value_type = T;

  WipingAllocator() = default;
  template <typename U>
  WipingAllocator(const WipingAllocator<U>&) {}  // NOLINT: implicit by intent

  T* allocate(std::size_t count) { return std::allocator<T>().allocate(count); }
  void deallocate(T* memory, std::size_t count) {
    wipe({reinterpret_cast<std::uint8_t*>(memory), count * sizeof(T)});
    std::allocator<T>().deallocate(memory, count);
  }
  bool operator==(const WipingAllocator&) const = default;
};

// A text of more than some dozen characters (shorter ones are not allocated, and not wiped).
using SecretText = std::basic_string<char, std::char_traits<char>, WipingAllocator<char>>;

}  // namespace vzv
