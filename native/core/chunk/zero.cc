#include "core/chunk/zero.h"

#include <cstring>

namespace vzv {

bool is_zero(ByteSpan bytes) {
  // Data differs from zero within its first bytes nearly always: those are looked at one by one.
  constexpr std::size_t kHead = 64;
  const std::size_t head = bytes.size() < kHead ? bytes.size() : kHead;
  for (std::size_t i = 0; i < head; ++i) {
    if (bytes[i] != 0) return false;
  }
  // The head is zero, and every byte equals the one kHead before it: so all are zero. memcmp(3) is vectorised for the
  // CPU at hand.
  return bytes.size() <= kHead || std::memcmp(bytes.data(), bytes.data() + kHead, bytes.size() - kHead) == 0;
}

}  // namespace vzv
