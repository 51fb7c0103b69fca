// Drives a source as a backup would, in the simplest way.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <memory>

#include "core/source/open_source.h"
#include "test/support/nbd_server.h"
#include "test/support/scratch.h"

namespace vzv::test {

constexpr std::uint64_t kKiB = 1024;
constexpr std::uint64_t kMiB = 1024 * kKiB;

inline NbdSocketAddress at(const NbdServer& server, std::string export_name = "") {
  return {server.socket(), std::move(export_name)};
}

inline SourceOptions with_timeout(int stall_timeout_ms) {
  SourceOptions options;
  options.stall_timeout_ms = stall_timeout_ms;
  return options;
}

// Opens or fails the test.
inline std::unique_ptr<BlockSource> open(const SourceAddress& address, const CancelToken& cancel,
                                         const SourceOptions& options = with_timeout(10'000)) {
  auto opened = open_source(address, options, cancel);
  INFO(opened.status().message());
  REQUIRE(opened.ok());
  return std::move(opened).value();
}

// Reads [offset, offset + length) in pieces with as many in flight as the source takes.
inline Result<Bytes> read_range(BlockSource& source, std::uint64_t offset, std::uint64_t length,
                                std::uint64_t piece_bytes = kMiB, int stall_timeout_ms = 10'000) {
  const ReadBuffer buffer(new std::uint8_t[length]);
  Status error;
  unsigned in_flight = 0;
  for (std::uint64_t at = 0; at < length || in_flight > 0;) {
    if (at < length && in_flight < source.max_in_flight()) {
      const std::uint64_t piece = std::min(piece_bytes, length - at);
      ++in_flight;
      VZV_TRY(source.submit_read(offset + at, piece, ReadBuffer(buffer, buffer.get() + at), [&](Status status) {
        --in_flight;
        if (error.ok()) error = std::move(status);
      }));
      at += piece;
      continue;
    }
    Result<bool> completed = source.poll(stall_timeout_ms);
    if (!completed.ok()) return completed.status();
    if (!error.ok()) return error;
    if (!*completed) return Status(Code::E_SOURCE_STALLED, "nothing came");
  }
  return Bytes(buffer.get(), buffer.get() + length);
}

inline Result<Bytes> read_all(BlockSource& source, std::uint64_t piece_bytes = kMiB) {
  return read_range(source, 0, source.size_bytes(), piece_bytes);
}

// All extents, neighbours of a kind joined. Fails the test where they have gaps or overlap.
inline std::vector<Extent> all_extents(BlockSource& source) {
  std::vector<Extent> all;
  for (std::uint64_t at = 0; at < source.size_bytes();) {
    auto part = source.extents(at, source.size_bytes() - at);
    INFO(part.status().message());
    REQUIRE(part.ok());
    REQUIRE_FALSE(part->empty());
    for (const Extent& extent : *part) {
      REQUIRE(extent.offset == at);
      REQUIRE(extent.length > 0);
      at = extent.end();
      if (!all.empty() && all.back().zero == extent.zero) {
        all.back().length += extent.length;
      } else {
        all.push_back(extent);
      }
    }
    REQUIRE(at <= source.size_bytes());
  }
  return all;
}

class Stopwatch {
 public:
  std::int64_t ms() const {
    return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - begun_).count();
  }

 private:
  std::chrono::steady_clock::time_point begun_ = std::chrono::steady_clock::now();
};

}  // namespace vzv::test
