#include "core/source/nbd_source.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <utility>

#include "core/base/limits.h"
#include "core/source/nbd_connection.h"

namespace vzv {

namespace {

using Clock = std::chrono::steady_clock;

constexpr const char* kConnectionClosed = "the NBD server closed the connection";

class NbdSource final : public BlockSource {
 public:
  explicit NbdSource(std::unique_ptr<NbdConnection> connection) : connection_(std::move(connection)) {}

  // After connecting: what the server said about the export.
  Status learn();

  const std::string& name() const override { return connection_->name(); }
  std::uint64_t size_bytes() const override { return size_bytes_; }
  unsigned max_in_flight() const override { return limits::kNbdReadsInFlight; }
  Result<std::vector<Extent>> extents(std::uint64_t offset, std::uint64_t length) override;
  Status submit_read(std::uint64_t offset, std::size_t length, ReadBuffer buffer, ReadDone done) override;
  Status submit_discard(std::uint64_t offset, std::uint64_t length, ReadDone done) override;
  Result<bool> poll(int timeout_ms) override;

 private:
  // A discard, or a read as the caller sees it: one or, where the server limits their length, several NBD commands.
  struct Read {
    NbdSource* source;
    const char* doing;
    std::uint64_t offset;
    ReadBuffer buffer;  // null of a discard
    ReadDone done;
    unsigned commands = 0;  // not yet completed
    int error = 0;          // the first one
  };
  using ReadRef = std::shared_ptr<Read>;

  static int on_read_completed(void* user_data, int* error);
  // For libnbd to call on_read_completed with, and to drop once it will not touch the buffer any more.
  static nbd_completion_callback completion_of(const ReadRef& read);
  Status error_of(const Read& read, std::uint64_t offset, const std::string& why) const;
  std::string last_error() const;
  bool run_finished();

  std::uint64_t size_bytes_ = 0;
  std::uint64_t read_max_bytes_ = limits::kNbdReadMaxBytes;
  bool has_allocation_ = false;
  std::vector<ReadRef> finished_;  // completed, their callers not told yet
  // Last, so that it goes first: libnbd's callbacks point to the members above.
  std::unique_ptr<NbdConnection> connection_;
};

Status NbdSource::learn() {
  nbd_handle* handle = connection_->handle();
  const std::int64_t size = nbd_get_size(handle);
  if (size < 0) return Status(Code::E_SOURCE_UNREACHABLE, "connecting to " + name() + ": it has no size");
  size_bytes_ = static_cast<std::uint64_t>(size);
  has_allocation_ = nbd_can_meta_context(handle, LIBNBD_CONTEXT_BASE_ALLOCATION) == 1;
  const std::int64_t largest = nbd_get_block_size(handle, LIBNBD_SIZE_MAXIMUM);
  if (largest > 0) read_max_bytes_ = std::min<std::uint64_t>(read_max_bytes_, static_cast<std::uint64_t>(largest));
  connection_->allow_odd_end(size_bytes_);
  return {};
}

// Extents.

Result<std::vector<Extent>> NbdSource::extents(std::uint64_t offset, std::uint64_t length) {
  if (!has_allocation_) return std::vector<Extent>{{offset, length, false}};
  const std::uint64_t asked = std::min(length, limits::kBlockStatusMaxBytes);
  std::vector<Extent> extents;
  std::uint64_t covered_to = offset;
  const auto add = [&extents, &covered_to, end = offset + asked](std::uint64_t extent_length, std::uint64_t flags) {
    if (covered_to >= end || extents.size() >= limits::kExtentsMax) return;
    extent_length = std::min(extent_length, end - covered_to);
    if (extent_length == 0) return;
    // A hole alone promises nothing about what a read of it would show: only ZERO does (NBD protocol, base:allocation).
    const bool zero = (flags & LIBNBD_STATE_ZERO) != 0;
    if (!extents.empty() && extents.back().zero == zero) {
      extents.back().length += extent_length;
    } else {
      extents.push_back({covered_to, extent_length, zero});
    }
    covered_to += extent_length;
  };
  Status status = connection_->block_status(offset, asked, "asking for the allocation of", Code::E_UNSUPPORTED, add);
  if (!status.ok() && status.code() != Code::E_UNSUPPORTED) return status;
  if (!status.ok() || extents.empty()) {
    VZV_TRY(connection_->alive());
    // A server that cannot tell may still be able to read. If it cannot, the reads will say so.
    has_allocation_ = false;
    return std::vector<Extent>{{offset, length, false}};
  }
  return extents;
}

// Reads and discards.

int NbdSource::on_read_completed(void* user_data, int* error) {
  const ReadRef& read = *static_cast<ReadRef*>(user_data);
  if (read->error == 0) read->error = *error;
  // The caller is told in poll(): libnbd must not be called from here.
  if (--read->commands == 0) read->source->finished_.push_back(read);
  return 1;  // libnbd forgets the command
}

Status NbdSource::submit_read(std::uint64_t offset, std::size_t length, ReadBuffer buffer, ReadDone done) {
  auto read = std::make_shared<Read>(Read{this, "reading", offset, std::move(buffer), std::move(done)});
  for (std::uint64_t at = 0; at < length; at += read_max_bytes_) {
    const std::uint64_t piece = std::min<std::uint64_t>(length - at, read_max_bytes_);
    ++read->commands;
    const nbd_completion_callback completed = completion_of(read);
    if (nbd_aio_pread(connection_->handle(), read->buffer.get() + at, piece, offset + at, completed, 0) < 0) {
      return error_of(*read, offset + at, last_error());
    }
  }
  return {};
}

nbd_completion_callback NbdSource::completion_of(const ReadRef& read) {
  // libnbd calls the last function also where the call itself fails.
  return {on_read_completed, new ReadRef(read), [](void* user_data) { delete static_cast<ReadRef*>(user_data); }};
}

std::string NbdSource::last_error() const {
  return connection_->alive().ok() ? NbdConnection::last_error() : kConnectionClosed;
}

Status NbdSource::error_of(const Read& read, std::uint64_t offset, const std::string& why) const {
  return Status(Code::E_SOURCE_READ, read.doing + (" " + name()) + " at offset " + std::to_string(offset) + ": " + why);
}

Status NbdSource::submit_discard(std::uint64_t offset, std::uint64_t length, ReadDone done) {
  nbd_handle* handle = connection_->handle();
  if (nbd_is_read_only(handle) != 0 || nbd_can_trim(handle) != 1) {
    return Status(Code::E_UNSUPPORTED, name() + " takes no discards");
  }
  auto discard = std::make_shared<Read>(Read{this, "discarding", offset, nullptr, std::move(done), 1});
  if (nbd_aio_trim(handle, length, offset, completion_of(discard), 0) < 0) {
    return error_of(*discard, offset, last_error());
  }
  return {};
}

bool NbdSource::run_finished() {
  std::vector<ReadRef> finished;
  finished.swap(finished_);
  for (const ReadRef& read : finished) {
    if (read->error == 0) {
      read->done({});
      continue;
    }
    const bool lost = read->error == ENOTCONN || read->error == ESHUTDOWN;
    read->done(error_of(*read, read->offset, lost ? kConnectionClosed : errno_text(read->error)));
  }
  return !finished.empty();
}

Result<bool> NbdSource::poll(int timeout_ms) {
  const auto deadline = Clock::now() + std::chrono::milliseconds(timeout_ms);
  while (true) {
    if (run_finished()) return true;
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
    Result<bool> stepped = connection_->step(static_cast<int>(std::max<std::int64_t>(left, 0)));
    if (!stepped.ok()) {
      // Which read was lost says more than that the connection was.
      if (stepped.status().code() == Code::E_SOURCE_READ && run_finished()) return true;
      return stepped.status();
    }
    if (left <= 0 && finished_.empty()) return false;
  }
}

template <typename Address>
Result<std::unique_ptr<BlockSource>> open(std::string name, const Address& address, int stall_timeout_ms,
                                          const CancelToken& cancel) {
  auto connection = std::make_unique<NbdConnection>(std::move(name), stall_timeout_ms, cancel);
  VZV_TRY(connection->connect(address));
  auto source = std::make_unique<NbdSource>(std::move(connection));
  VZV_TRY(source->learn());
  return std::unique_ptr<BlockSource>(std::move(source));
}

}  // namespace

Result<std::unique_ptr<BlockSource>> open_nbd_source(const NbdSocketAddress& address, int stall_timeout_ms,
                                                     const CancelToken& cancel) {
  return open("NBD export '" + address.export_name + "' at " + address.socket_path, address, stall_timeout_ms, cancel);
}

Result<std::unique_ptr<BlockSource>> open_nbd_source(const NbdUriAddress& address, int stall_timeout_ms,
                                                     const CancelToken& cancel) {
  return open(address.uri, address, stall_timeout_ms, cancel);
}

}  // namespace vzv
