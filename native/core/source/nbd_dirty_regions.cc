#include "core/source/nbd_dirty_regions.h"

#include <algorithm>
#include <deque>
#include <utility>

#include "core/base/limits.h"
#include "core/source/nbd_connection.h"

namespace vzv {

namespace {

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
  std::string nonsense_;         // why an answer made no sense; empty while all do
  NbdConnection connection_;
};

Status NbdDirtyRegions::odd(const std::string& why) const {
  return Status(Code::E_SOURCE_BITMAP, doing_ + connection_.name() + ": " + why);
}

Status NbdDirtyRegions::as_bitmap_error(const Status& status) const {
  const Code code = status.code();
  if (code == Code::E_CANCELLED || code == Code::E_SOURCE_STALLED || code == Code::E_SOURCE_BITMAP) return status;
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
  connection_.allow_odd_end(size_bytes_);
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

Status NbdDirtyRegions::ask() {
  const std::uint64_t from = position_;
  const std::uint64_t length = std::min(size_bytes_ - from, limits::kBlockStatusMaxBytes);
  asked_end_ = from + length;
  const Status asked =
      connection_.block_status(from, length, doing_ + "the", Code::E_SOURCE_BITMAP,
                               [this](std::uint64_t extent_length, std::uint64_t flags) { add(extent_length, flags); });
  if (!asked.ok()) return as_bitmap_error(asked);
  if (!nonsense_.empty()) return odd(nonsense_);
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
