// The codecs: first byte the codec, then the plain length in 16 bits, then the encoded bytes.
#include "core/base/bytes.h"
#include "core/store/codec.h"
#include "fuzz/fuzz_driver.h"

using namespace vzv;

std::vector<Bytes> fuzz::samples() {
  std::vector<Bytes> all;
  for (const std::size_t length : {0, 1, 100, 5000}) {
    Bytes plain(length);
    for (std::size_t i = 0; i < length; ++i) plain[i] = static_cast<std::uint8_t>(i / 50);
    const Result<EncodedChunk> encoded = encode(plain, 1);
    Bytes sample;
    ByteWriter writer(sample);
    writer.u8(static_cast<std::uint8_t>(encoded.value().codec));
    writer.u16(static_cast<std::uint16_t>(length));
    writer.bytes(encoded.value().bytes);
    all.push_back(sample);
  }
  return all;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  ByteReader reader({data, size});
  const std::uint8_t codec = reader.u8();
  Bytes plain(reader.u16());
  if (!reader.ok() || !codec_known(codec)) return 0;
  const Status status = decode(static_cast<Codec>(codec), reader.bytes(reader.remaining()), plain);
  FUZZ_CHECK(status.ok() || status.code() == Code::E_CHUNK_DAMAGED);
  // What was decoded can be encoded and decoded again.
  if (status.ok()) {
    const Result<EncodedChunk> again = encode(plain, 1);
    FUZZ_CHECK(again.ok());
    Bytes decoded(plain.size());
    FUZZ_CHECK(decode(again.value().codec, again.value().bytes, decoded).ok() && decoded == plain);
  }
  return 0;
}
