// One file call fails while several threads store chunks through one writer: the error sticks, and no pack is published
// that is not what its name says, whoever came to the broken one next.
#include <atomic>
#include <cerrno>
#include <thread>

#include "core/base/sha256.h"
#include "core/store/pack_format.h"
#include "test/crash/file_recorder.h"
#include "test/store/store_fixture.h"

using namespace vzv;
using namespace vzv::test;

namespace {

constexpr unsigned kThreads = 4;
constexpr std::uint64_t kChunks = 32;
constexpr std::size_t kChunkBytes = 400'000;

// False where the call was not come to.
bool store_with(std::uint64_t failing_call) {
  const ScratchDirectory scratch;
  const NoSync no_sync;
  const Store store(scratch.path());
  std::optional<FileEvent> failed;
  Status flushed;
  {
    FileRecorder recorder(scratch / "repository");
    recorder.fail({failing_call, EIO, Failure::How::kRefused});
    const auto writer = store.writer({.pack_target_bytes = 4'000'000, .segment_entries = 9});
    std::atomic<std::uint64_t> next{0};
    std::vector<std::thread> threads;
    for (unsigned t = 0; t < kThreads; ++t) {
      threads.emplace_back([&] {
        for (std::uint64_t n = next++; n < kChunks; n = next++) {
          const TestChunk chunk = random_chunk(n, kChunkBytes);
          if (!writer->put(ChunkType::kData, chunk.id, chunk.bytes).ok()) return;
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    flushed = writer->flush();
    failed = recorder.failed();
  }
  // What is left in tmp/ counts as absent, so nothing may come of a file there that is not removed or made durable.
  const bool matters = failed && (failed->call == FileCall::kWrite || failed->call == FileCall::kCreate);
  CHECK((flushed.ok() || failed));
  CHECK((!matters || !flushed.ok()));
  for (const Id& pack : store.packs()) {
    REQUIRE_MESSAGE(sha256(read_file(store.file(pack_name(pack)))) == pack, "call ", failing_call);
  }
  return failed.has_value();
}

}  // namespace

TEST_CASE("a call that fails while others store leaves no pack that is not what its name says") {
  std::uint64_t calls = 0;
  while (store_with(calls)) ++calls;
  CHECK(calls > 20);
}
