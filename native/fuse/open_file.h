// What an open file of a mount is read through, whatever kind it is.
//
// Threads: the kernel sends reads of one open file side by side.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <string>

#include "core/base/id.h"
#include "core/base/status.h"

namespace vzv::fuse {

class OpenFile {
 public:
  virtual ~OpenFile() = default;

  // For messages, below the mount.
  virtual std::string path() const = 0;
  virtual std::uint64_t size_bytes() const = 0;
  // REQUIRES: offset + buffer.size() <= size_bytes()
  virtual Status read(std::uint64_t offset, std::span<std::uint8_t> buffer) = 0;

  // The first byte at or after `offset` that is data, or that is a hole; the size where there is none. REQUIRES: offset
  // < size_bytes()
  virtual Result<std::uint64_t> seek_data(std::uint64_t offset) { return offset; }
  virtual Result<std::uint64_t> seek_hole(std::uint64_t) { return size_bytes(); }

  // Whether the kernel must pass reads on as they come, neither reading ahead nor keeping what it read.
  virtual bool direct() const { return false; }
};

// A small file from the mount spec.
class OpenBytes : public OpenFile {
 public:
  // REQUIRES: the bytes outlive this.
  explicit OpenBytes(const Bytes& bytes) : bytes_(bytes) {}

  std::string path() const override { return "a file of the mount spec"; }
  std::uint64_t size_bytes() const override { return bytes_.size(); }
  Status read(std::uint64_t offset, std::span<std::uint8_t> buffer) override {
    std::copy_n(bytes_.begin() + static_cast<std::ptrdiff_t>(offset), buffer.size(), buffer.begin());
    return {};
  }

 private:
  const Bytes& bytes_;
};

}  // namespace vzv::fuse
