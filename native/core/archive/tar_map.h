// A file's data as a sparse member of root.tar (PAX sparse format 1.0, "GNU tar manual, Storing Sparse Files"): the map
// as text in front of the data, and the data, each of its ranges filled up to whole blocks.
//
// Both are made piece by piece, since a map may have millions of lines: text() and read_data() remember where they
// were, so that who goes on pays nothing for what lies before. One thread at a time.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "core/archive/member.h"
#include "core/archive/tar_input.h"
#include "core/base/status.h"

namespace vzv {

constexpr std::uint64_t tar_blocks(std::uint64_t bytes) {
  return (bytes + kTarBlockBytes - 1) / kTarBlockBytes * kTarBlockBytes;
}

// Fills the span with an archive's data from this offset of its data stream on.
using ReadArchiveData = std::function<Status(std::uint64_t offset, std::span<std::uint8_t> buffer)>;

class TarMap {
 public:
  // REQUIRES: a file with all of its extents, which outlives this and does not change.
  explicit TarMap(const Member& file);
  TarMap(const TarMap&) = delete;
  TarMap& operator=(const TarMap&) = delete;

  // Of the map's lines, without the zeroes that fill up the last block.
  std::uint64_t text_bytes() const { return text_bytes_; }
  // Of the ranges, each filled up to whole blocks.
  std::uint64_t data_bytes() const { return data_bytes_; }

  // Fills `buffer` from `offset` of the lines, with zeroes behind them.
  void text(std::uint64_t offset, std::span<std::uint8_t> buffer);
  // Fills `buffer` from `offset` of the ranges, with zeroes between and behind them. The file's data begins at
  // `stream_offset` of the archive's.
  Status read_data(std::uint64_t offset, std::uint64_t stream_offset, std::span<std::uint8_t> buffer,
                   const ReadArchiveData& read);

 private:
  std::string line(std::size_t number) const;

  MemberExtent whole_;  // of a file without holes
  std::span<const MemberExtent> extents_;
  std::uint64_t size_bytes_;
  bool ends_in_hole_;
  std::uint64_t text_bytes_ = 0;
  std::uint64_t data_bytes_ = 0;

  // Where text() was: this line begins at this offset.
  std::size_t line_ = 0;
  std::uint64_t line_offset_ = 0;
  // Where read_data() was: this range begins at these offsets of the padded data and of the stored bytes.
  std::size_t range_ = 0;
  std::uint64_t range_offset_ = 0;
  std::uint64_t range_stored_ = 0;
};

}  // namespace vzv
