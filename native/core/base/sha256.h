// SHA-256 (OpenSSL, which uses the processor's instructions for it where there are any).
#pragma once

#include <memory>

#include "core/base/id.h"

namespace vzv {

// Of all of `bytes`. Thread-safe.
Id sha256(ByteSpan bytes);

// Of bytes that come piece by piece. One thread at a time.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;

  void update(ByteSpan bytes);
  // Of all that was updated since the construction or the last finish(); begins anew.
  Id finish();

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

}  // namespace vzv
