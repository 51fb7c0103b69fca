#include "core/source/nbd_dirty_regions.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <deque>
#include <utility>

#include "core/base/limits.h"
#include "core/source/nbd_connection.h"

namespace vzv {

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::uint64_t kDirty = 1;

class NbdDirtyRegions final : public DirtyRegions {
 public:
  NbdDirtyRegions(const NbdSocketAddress& address, const std::string& bitmap_name, std::uint64_t size_bytes,
                  int stall_timeout_ms, const CancelToken& cancel)
      : context_("qemu:dirty-bitmap:" + bitmap_name),
        doing_("reading the dirty bitmap '" + bitmap_name + "' of "),
        size_bytes_(size_bytes),
        connection_("NBD export '" + address.export_name + "' at " + address.socket_path, stall_timeout_ms, cancel,
                    context_) {}

  Status open(const NbdSocketAddress& address);
  Result<std::optional<Range>> next() override;

 private:
#ifdef LIBNBD_HAVE_NBD_AIO_BLOCK_STATUS_64
  static int on_extents(void* user_data, const char* context, std::uint64_t offset, nbd_extent* entries,
                        std::size_t count, int* error);
#else
  static int on_extents(void* user_data, const char* context, std::uint64_t offset, std::uint32_t* entries,
                        std::size_t count, int* error);
#endif
  static int on_completed(void* user_data, int* error);
  bool send(std::uint64_t length);
  void add(std::uint64_t length, std::uint64_t flags);
  // Asks about what comes after position_.
  Status ask();
  // An error of the connection as one of the bitmap.
  Status as_bitmap_error(const Status& status) const;
  Status odd(const std::string& why) const;

  const std::string context_;
  const std::string doing_;
  const std::uint64_t size_bytes_;
  std::uint64_t position_ = 0;   // what lies before it was told of
  std::uint64_t asked_end_ = 0;  // of the request that is under way
  std::deque<Range> dirty_;      // before position_, not answered yet
  bool is_completed_ = false;
  bool is_failed_ = false;
  std::string nonsense_;  // why an answer made no sense; empty while all do
  // Last, so that it goes first: libnbd's callbacks point to the members above.
  NbdConnection connection_;
};

Status NbdDirtyRegions::odd(const std::string& why) const {
  return Status(Code::E_SOURCE_BITMAP, doing_ + connection_.name() + ": " + why);
}

Status NbdDirtyRegions::as_bitmap_error(const Status& status) const {
  if (status.code() == Code::E_CANCELLED || status.code() == Code::E_SOURCE_STALLED) return status;
  return Status(Code::E_SOURCE_BITMAP, doing_ + "an NBD export: " + status.message());
}

Status NbdDirtyRegions::open(const NbdSocketAddress& address) {
  if (Status connected = connection_.connect(address); !connected.ok()) return as_bitmap_error(connected);
  nbd_handle* handle = connection_.handle();
  if (nbd_can_meta_context(handle, context_.c_str()) != 1) return odd("the server has no such bitmap");
  const std::int64_t size = nbd_get_size(handle);
  if (size < 0 || static_cast<std::uint64_t>(size) != size_bytes_) {
    return odd("the export has " + std::to_string(size) + " bytes, the disk " + std::to_string(size_bytes_));
  }
  const std::int64_t smallest = nbd_get_block_size(handle, LIBNBD_SIZE_MINIMUM);
  if (smallest > 1 && size_bytes_ % static_cast<std::uint64_t>(smallest) != 0) {
    // Its end cannot be asked about in whole blocks, so the server must decide whether it answers.
    nbd_set_strict_mode(handle, LIBNBD_STRICT_MASK & ~LIBNBD_STRICT_ALIGN);
  }
  return {};
}

void NbdDirtyRegions::add(std::uint64_t length, std::uint64_t flags) {
  if (!nonsense_.empty()) return;
  if (length == 0) nonsense_ = "an extent at offset " + std::to_string(position_) + " is empty";
  if ((flags & ~kDirty) != 0) nonsense_ = "an extent at offset " + std::to_string(position_) + " has unknown flags";
  // The last extent of an answer may go on beyond the request (NBD protocol, NBD_REPLY_TYPE_BLOCK_STATUS), and what is
  // more than we care to remember is asked for again.
  if (!nonsense_.empty() || position_ >= asked_end_ || dirty_.size() >= limits::kExtentsMax) return;
  length = std::min(length, asked_end_ - position_);
  if ((flags & kDirty) != 0) {
    if (!dirty_.empty() && dirty_.back().end() == position_) {
      dirty_.back().length += length;
    } else {
      dirty_.push_back({position_, length});
    }
  }
  position_ += length;
}

#ifdef LIBNBD_HAVE_NBD_AIO_BLOCK_STATUS_64
int NbdDirtyRegions::on_extents(void* user_data, const char* context, std::uint64_t offset, nbd_extent* entries,
                                std::size_t count, int*) {
  auto* regions = static_cast<NbdDirtyRegions*>(user_data);
  if (regions->context_ != context) return 0;
  if (offset != regions->position_) regions->nonsense_ = "an answer is not about what was asked";
  for (std::size_t i = 0; i < count; ++i) regions->add(entries[i].length, entries[i].flags);
  return 0;
}
#else
// `entries` are pairs of length and flags, `count` counts both.
int NbdDirtyRegions::on_extents(void* user_data, const char* context, std::uint64_t offset, std::uint32_t* entries,
                                std::size_t count, int*) {
  auto* regions = static_cast<NbdDirtyRegions*>(user_data);
  if (regions->context_ != context) return 0;
  if (offset != regions->position_) regions->nonsense_ = "an answer is not about what was asked";
  for (std::size_t i = 0; i + 1 < count; i += 2) regions->add(entries[i], entries[i + 1]);
  return 0;
}
#endif

int NbdDirtyRegions::on_completed(void* user_data, int* error) {
  auto* regions = static_cast<NbdDirtyRegions*>(user_data);
  regions->is_completed_ = true;
  regions->is_failed_ = *error != 0;
  return 1;  // libnbd forgets the command
}

bool NbdDirtyRegions::send(std::uint64_t length) {
  const nbd_completion_callback completed = {on_completed, this, nullptr};
#ifdef LIBNBD_HAVE_NBD_AIO_BLOCK_STATUS_64
  const nbd_extent64_callback extent = {on_extents, this, nullptr};
  return nbd_aio_block_status_64(connection_.handle(), length, position_, extent, completed, 0) >= 0;
#else
  const nbd_extent_callback extent = {on_extents, this, nullptr};
  return nbd_aio_block_status(connection_.handle(), length, position_, extent, completed, 0) >= 0;
#endif
}

Status NbdDirtyRegions::ask() {
  const std::uint64_t from = position_;
  const std::uint64_t length = std::min(size_bytes_ - from, limits::kBlockStatusMaxBytes);
  asked_end_ = from + length;
  is_completed_ = is_failed_ = false;
  if (!send(length)) return odd(NbdConnection::last_error());
  auto heard = Clock::now();
  while (!is_completed_) {
    const auto silent = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - heard).count();
    if (silent >= connection_.stall_timeout_ms()) return connection_.stalled(doing_ + "the");
    Result<bool> stepped = connection_.step(connection_.stall_timeout_ms() - static_cast<int>(silent));
    if (!stepped.ok()) return as_bitmap_error(stepped.status());
    if (*stepped) heard = Clock::now();
  }
  if (!nonsense_.empty()) return odd(nonsense_);
  if (is_failed_) return odd("the server failed to answer at offset " + std::to_string(from));
  if (position_ == from) return odd("the server's answer at offset " + std::to_string(from) + " says nothing");
  return {};
}

Result<std::optional<Range>> NbdDirtyRegions::next() {
  // A region that reaches up to where answers end for now may go on: an answer ends where the request or the server's
  // patience does, not only where granules do.
  while (position_ < size_bytes_ && (dirty_.empty() || (dirty_.size() == 1 && dirty_.back().end() == position_))) {
    VZV_TRY(ask());
  }
  if (dirty_.empty()) return std::optional<Range>();
  const Range region = dirty_.front();
  dirty_.pop_front();
  return std::optional(region);
}

}  // namespace

Result<std::unique_ptr<DirtyRegions>> open_nbd_dirty_regions(const NbdSocketAddress& address,
                                                             const std::string& bitmap_name, std::uint64_t size_bytes,
                                                             int stall_timeout_ms, const CancelToken& cancel) {
  auto regions = std::make_unique<NbdDirtyRegions>(address, bitmap_name, size_bytes, stall_timeout_ms, cancel);
  VZV_TRY(regions->open(address));
  return std::unique_ptr<DirtyRegions>(std::move(regions));
}

}  // namespace vzv
