#include "core/store/codec.h"

#include <zstd.h>

#include <thread>

#include "test/store/store_fixture.h"

using namespace vzv;
using namespace vzv::test;

TEST_CASE("what shrinks is stored as zstd, what does not as it is") {
  const Bytes plain = plain_chunk(1, 100'000).bytes;
  const EncodedChunk small = must(encode(plain, 1));
  CHECK(small.codec == Codec::kZstd);
  CHECK(small.bytes.size() < plain.size());
  Bytes decoded(plain.size());
  must(decode(small.codec, small.bytes, decoded));
  CHECK(decoded == plain);

  const Bytes random = random_chunk(1, 100'000).bytes;
  const EncodedChunk raw = must(encode(random, 1));
  CHECK(raw.codec == Codec::kStored);
  CHECK(raw.bytes == random);
  must(decode(raw.codec, raw.bytes, decoded));
  CHECK(decoded == random);
}

TEST_CASE("nothing and one byte survive") {
  for (const std::size_t length : {0, 1}) {
    const Bytes plain(length, 7);
    const EncodedChunk encoded = must(encode(plain, 1));
    CHECK(encoded.codec == Codec::kStored);
    Bytes decoded(length);
    must(decode(encoded.codec, encoded.bytes, decoded));
    CHECK(decoded == plain);
  }
}

TEST_CASE("a level that zstd does not have is refused") {
  CHECK(encode(Bytes(10), 1000).status().code() == Code::E_ARGUMENT_INVALID);
  CHECK(encode(Bytes(10), 19).ok());
}

TEST_CASE("a frame of another length than expected is damage, longer or shorter") {
  const EncodedChunk encoded = must(encode(Bytes(1000, 'v'), 1));
  Bytes shorter(999), longer(1001);
  CHECK(decode(encoded.codec, encoded.bytes, shorter).code() == Code::E_CHUNK_DAMAGED);
  CHECK(decode(encoded.codec, encoded.bytes, longer).code() == Code::E_CHUNK_DAMAGED);
  CHECK(decode(Codec::kStored, Bytes(10), shorter).code() == Code::E_CHUNK_DAMAGED);
}

TEST_CASE("a frame that is followed by more, or by another frame, is damage") {
  EncodedChunk encoded = must(encode(Bytes(1000, 'v'), 1));
  Bytes plain(1000);
  Bytes twice = encoded.bytes;
  twice.insert(twice.end(), encoded.bytes.begin(), encoded.bytes.end());
  CHECK(decode(Codec::kZstd, twice, plain).code() == Code::E_CHUNK_DAMAGED);
  encoded.bytes.push_back(0);
  CHECK(decode(Codec::kZstd, encoded.bytes, plain).code() == Code::E_CHUNK_DAMAGED);
}

TEST_CASE("a frame that does not declare its length is damage") {
  const Bytes source(1000, 'v');
  Bytes frame(ZSTD_compressBound(source.size()));
  ZSTD_CCtx* const context = ZSTD_createCCtx();
  ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag, 0);
  frame.resize(ZSTD_compress2(context, frame.data(), frame.size(), source.data(), source.size()));
  ZSTD_freeCCtx(context);
  Bytes plain(1000);
  CHECK(decode(Codec::kZstd, frame, plain).code() == Code::E_CHUNK_DAMAGED);
}

TEST_CASE("a frame with any byte changed or cut yields its plain length or damage, never a crash") {
  const Bytes plain = plain_chunk(1, 3000).bytes;
  const EncodedChunk encoded = must(encode(plain, 1));
  for_each_damage(encoded.bytes, [&](const Bytes& damaged, std::size_t, bool cut) {
    Bytes decoded(plain.size());
    const Status status = decode(Codec::kZstd, damaged, decoded);
    if (cut) CHECK_FALSE(status.ok());
    if (!status.ok()) CHECK(status.code() == Code::E_CHUNK_DAMAGED);
  });
}

TEST_CASE("threads encode and decode beside one another") {
  std::vector<std::thread> threads;
  std::atomic<int> right{0};
  for (int n = 0; n < 4; ++n) {
    threads.emplace_back([&, n] {
      for (std::uint64_t i = 0; i < 50; ++i) {
        const Bytes plain = plain_chunk(i * 4 + static_cast<std::uint64_t>(n), 5000).bytes;
        const Result<EncodedChunk> encoded = encode(plain, 1);
        Bytes decoded(plain.size());
        if (encoded.ok() && decode(encoded.value().codec, encoded.value().bytes, decoded).ok() && decoded == plain)
          ++right;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(right == 200);
}
