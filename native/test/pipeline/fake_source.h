// A source in memory whose extents, order of completion and faults a test decides.
#pragma once

#include <algorithm>
#include <cstring>
#include <deque>
#include <functional>
#include <thread>
#include <utility>

#include "core/base/cancel.h"
#include "core/source/block_source.h"

namespace vzv::test {

class FakeSource final : public BlockSource {
 public:
  explicit FakeSource(std::uint64_t size_bytes) : size_bytes_(size_bytes) {}

  // Everything is zero but these.
  void add(std::uint64_t offset, Bytes bytes) { data_.emplace_back(offset, std::move(bytes)); }

  // --- What a test may set ---
  std::vector<Extent> known;                   // what extents() knows; empty: all is data
  std::uint64_t extents_answer_bytes = ~0ULL;  // it covers no more than this at once
  unsigned in_flight_max = 16;
  bool newest_first = false;                          // completions in reverse
  std::function<Status(std::uint64_t offset)> fault;  // of a read that begins there
  bool silent = false;                                // reads never finish
  const CancelToken* cancel = nullptr;

  // --- What a test may ask ---
  std::vector<Extent> reads;  // all that were submitted
  unsigned most_in_flight = 0;
  std::uint64_t extents_calls = 0;

  const std::string& name() const override { return name_; }
  std::uint64_t size_bytes() const override { return size_bytes_; }
  unsigned max_in_flight() const override { return in_flight_max; }

  Result<std::vector<Extent>> extents(std::uint64_t offset, std::uint64_t length) override {
    ++extents_calls;
    if (cancel != nullptr) VZV_TRY(cancel->status());
    const std::uint64_t end = offset + std::min(length, extents_answer_bytes);
    if (known.empty()) return std::vector<Extent>{{offset, end - offset, false}};
    std::vector<Extent> answer;
    for (const Extent& extent : known) {
      const std::uint64_t from = std::max(extent.offset, offset);
      const std::uint64_t to = std::min(extent.end(), end);
      if (from < to) answer.push_back({from, to - from, extent.zero});
    }
    return answer;
  }

  Status submit_read(std::uint64_t offset, std::size_t length, ReadBuffer buffer, ReadDone done) override {
    reads.push_back({offset, length, false});
    waiting_.push_back({offset, length, std::move(buffer), std::move(done)});
    most_in_flight = std::max<unsigned>(most_in_flight, static_cast<unsigned>(waiting_.size()));
    return {};
  }

  Result<bool> poll(int timeout_ms) override {
    if (cancel != nullptr) VZV_TRY(cancel->status());
    if (silent || waiting_.empty()) {
      std::this_thread::sleep_for(std::chrono::milliseconds(std::min(timeout_ms, 5)));
      return false;
    }
    if (newest_first) std::swap(waiting_.front(), waiting_.back());
    Read read = std::move(waiting_.front());
    waiting_.pop_front();
    const Status status = fault ? fault(read.offset) : Status();
    if (status.ok()) fill(read);
    read.buffer.reset();
    read.done(status);
    return true;
  }

  // The whole disk's bytes.
  Bytes bytes() const {
    Bytes all(size_bytes_);
    for (const auto& [offset, bytes] : data_)
      std::copy(bytes.begin(), bytes.end(), all.begin() + static_cast<std::ptrdiff_t>(offset));
    return all;
  }

 private:
  struct Read {
    std::uint64_t offset;
    std::size_t length;
    ReadBuffer buffer;
    ReadDone done;
  };

  void fill(const Read& read) const {
    std::memset(read.buffer.get(), 0, read.length);
    for (const auto& [offset, bytes] : data_) {
      const std::uint64_t from = std::max(offset, read.offset);
      const std::uint64_t to = std::min(offset + bytes.size(), read.offset + read.length);
      if (from < to) std::memcpy(read.buffer.get() + (from - read.offset), bytes.data() + (from - offset), to - from);
    }
  }

  const std::string name_ = "the fake disk";
  const std::uint64_t size_bytes_;
  std::vector<std::pair<std::uint64_t, Bytes>> data_;
  std::deque<Read> waiting_;
};

}  // namespace vzv::test
