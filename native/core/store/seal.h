// Between the codec and the file: what a suite does to encoded bytes. Suite 0 (none) leaves them as they are.
//
// Callers hand over all that an authenticated suite binds a chunk to (the pack's salt, the ordinal, id, type and plain
// length), so a suite joins in here, with its keys, and nowhere else. Thread-safe.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "core/store/chunk_type.h"
#include "core/store/codec.h"

namespace vzv {

enum class Suite : std::uint16_t { kNone = 0 };

constexpr bool suite_known(std::uint16_t value) { return value == 0; }

using Salt = std::array<std::uint8_t, 32>;

// From the kernel's random generator.
Salt new_salt();

// What a sealed chunk is bound to.
struct SealContext {
  Suite suite;
  const Salt& salt;
  std::uint32_t ordinal;
  const Id& id;
  ChunkType type;
  std::uint32_t plain_bytes;
};

// Turns encoded bytes into stored bytes.
Result<Bytes> seal(const SealContext& context, Bytes encoded);

// Opens and decodes stored bytes into `plain`, whose size is the plain length. E_CHUNK_DAMAGED where they do not yield
// exactly that. Does not check the id: that is the caller's, who knows which hash the repository uses.
Status open_sealed(const SealContext& context, Codec codec, ByteSpan stored, std::span<std::uint8_t> plain);

}  // namespace vzv
