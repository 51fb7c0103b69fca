// A disk to back up: something of a fixed size that tells its extents and is read at offsets.
//
// Threads: one thread drives a source (opens it, asks for extents, submits reads, polls, destroys it). Reads are
// asynchronous so that several are in flight.
//
// Time: every call ends with E_CANCELLED soon after the token that the source was opened with is cancelled, and
// extents() with E_SOURCE_STALLED once the stall timeout has passed, also while the kernel or the server hangs. Whether
// reads stall is for the caller of poll() to judge.
//
// Errors: after any call or completion but those of discards ended with an error the source can only be destroyed.
// Destroying it drops the completions of what is in flight without calling them.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/base/status.h"

namespace vzv {

// [offset, offset + length); `zero` means known to read as zeroes without reading.
struct Extent {
  std::uint64_t offset;
  std::uint64_t length;
  bool zero;

  std::uint64_t end() const { return offset + length; }
  bool operator==(const Extent&) const = default;
};

// Where a read puts its bytes. Shared, because a read that hangs in the kernel cannot be taken back: the source holds
// its buffer until the kernel has let go of it, even beyond its own end. May point into the middle of what it keeps
// alive.
using ReadBuffer = std::shared_ptr<std::uint8_t[]>;

class BlockSource {
 public:
  // `status` tells how the read ended; the buffer holds its bytes where it is a success. Called from poll() only.
  using ReadDone = std::function<void(Status status)>;

  virtual ~BlockSource() = default;

  // What messages call it: "NBD export 'drive-scsi0' at /run/q.sock", "/dev/vg/disk".
  virtual const std::string& name() const = 0;
  virtual std::uint64_t size_bytes() const = 0;
  // How many reads may usefully be in flight.
  virtual unsigned max_in_flight() const = 0;
  // Extents of a part of [offset, offset + length) that begins at `offset`, is not empty and not longer than the range;
  // in order and without gaps. Neighbours may be of the same kind. May call zeroes data, never data zero. REQUIRES:
  // length > 0; the range lies within the source.
  virtual Result<std::vector<Extent>> extents(std::uint64_t offset, std::uint64_t length) = 0;
  // REQUIRES: length > 0; the range lies within the source; fewer than max_in_flight() reads are in flight.
  virtual Status submit_read(std::uint64_t offset, std::size_t length, ReadBuffer buffer, ReadDone done) = 0;
  // Gives the space of a range back, which will not be read again. An error here or in `done` is a refusal: of this
  // call alone, the source can still be used. `done` is called as that of a read. REQUIRES: as for submit_read(), but
  // counted apart: fewer than kDiscardsInFlight are in flight; length <= kDiscardMaxBytes.
  virtual Status submit_discard(std::uint64_t offset, std::uint64_t length, ReadDone done) {
    (void)offset, (void)length, (void)done;
    return Status(Code::E_UNSUPPORTED, name() + " is not one whose ranges could be given back");
  }
  // Waits up to timeout_ms for at least one completion while reads or discards are in flight; runs completions. False:
  // none came in time.
  virtual Result<bool> poll(int timeout_ms) = 0;
};

}  // namespace vzv
