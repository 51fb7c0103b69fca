#include "core/store/codec.h"

#include <zstd.h>

#include <memory>

#include "core/base/aes_gcm.h"

namespace vzv {

namespace {

struct FreeContext {
  void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
  void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
};

// A context is several hundred KiB to set up: each thread keeps its own. Null where memory is out.
ZSTD_CCtx* compressor() {
  thread_local const std::unique_ptr<ZSTD_CCtx, FreeContext> context(ZSTD_createCCtx());
  return context.get();
}

ZSTD_DCtx* decompressor() {
  thread_local const std::unique_ptr<ZSTD_DCtx, FreeContext> context(ZSTD_createDCtx());
  return context.get();
}

Status damaged(std::string what) { return {Code::E_CHUNK_DAMAGED, std::move(what)}; }

Status decode_zstd(ByteSpan encoded, std::span<std::uint8_t> plain) {
  // The frame's own length is looked at first, so that a frame of another length, or one followed by more, is told
  // apart from damage inside it. Our frames always declare it.
  const std::size_t frame_bytes = ZSTD_findFrameCompressedSize(encoded.data(), encoded.size());
  if (ZSTD_isError(frame_bytes)) return damaged("it is no zstd frame");
  if (frame_bytes != encoded.size()) return damaged("its zstd frame is followed by other bytes");
  if (ZSTD_getFrameContentSize(encoded.data(), encoded.size()) != plain.size()) {
    return damaged("its zstd frame declares another length than " + std::to_string(plain.size()));
  }
  ZSTD_DCtx* const context = decompressor();
  if (context == nullptr) return {Code::E_INTERNAL, "no memory for zstd"};
  const std::size_t got = ZSTD_decompressDCtx(context, plain.data(), plain.size(), encoded.data(), encoded.size());
  if (ZSTD_isError(got)) return damaged(std::string("zstd: ") + ZSTD_getErrorName(got));
  if (got != plain.size()) return damaged("it decodes to " + std::to_string(got) + " bytes");
  return {};
}

}  // namespace

Result<EncodedChunk> encode(ByteSpan plain, int zstd_level) {
  if (zstd_level < ZSTD_minCLevel() || zstd_level > ZSTD_maxCLevel()) {
    return Status(Code::E_ARGUMENT_INVALID, "zstd has no level " + std::to_string(zstd_level));
  }
  ZSTD_CCtx* const context = compressor();
  if (context == nullptr) return Status(Code::E_INTERNAL, "no memory for zstd");
  EncodedChunk encoded{Codec::kZstd, Bytes(ZSTD_compressBound(plain.size()))};
  const std::size_t length =
      ZSTD_compressCCtx(context, encoded.bytes.data(), encoded.bytes.size(), plain.data(), plain.size(), zstd_level);
  if (ZSTD_isError(length)) return Status(Code::E_INTERNAL, std::string("zstd: ") + ZSTD_getErrorName(length));
  if (length < plain.size()) {
    encoded.bytes.resize(length);
    return encoded;
  }
  EncodedChunk stored;
  stored.bytes.reserve(plain.size() + Aes256Gcm::kTagBytes);  // so that sealing need not move it
  stored.bytes.assign(plain.begin(), plain.end());
  return stored;
}

Status decode(Codec codec, ByteSpan encoded, std::span<std::uint8_t> plain) {
  if (codec == Codec::kZstd) return decode_zstd(encoded, plain);
  if (encoded.size() != plain.size()) return damaged("it is stored as it is, but not in its plain length");
  if (!plain.empty()) std::memcpy(plain.data(), encoded.data(), plain.size());
  return {};
}

}  // namespace vzv
