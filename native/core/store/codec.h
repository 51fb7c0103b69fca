// Compression of one chunk or document: codec 0 as it is, codec 1 one zstd frame (docs/format.md, Chunks).
//
// Thread-safe; zstd's contexts belong to the thread that uses them and live as long as it does.
#pragma once

#include <cstdint>
#include <span>

#include "core/base/id.h"
#include "core/base/status.h"

namespace vzv {

enum class Codec : std::uint8_t { kStored = 0, kZstd = 1 };

constexpr bool codec_known(std::uint8_t value) { return value <= 1; }

struct EncodedChunk {
  Codec codec = Codec::kStored;
  Bytes bytes;
};

// Codec 1 where that is shorter, else 0. E_ARGUMENT_INVALID for a level that zstd does not have, E_INTERNAL where zstd
// fails.
Result<EncodedChunk> encode(ByteSpan plain, int zstd_level);

// Fills `plain` exactly. Anything else (an unknown codec's bytes, a frame that is damaged, declares or has another
// length, or is followed by more bytes) is E_CHUNK_DAMAGED with a message that says which, without naming the chunk.
Status decode(Codec codec, ByteSpan encoded, std::span<std::uint8_t> plain);

}  // namespace vzv
