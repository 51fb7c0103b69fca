#include "core/source/nbd_connection.h"

#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <utility>

namespace vzv {

namespace {

using Clock = std::chrono::steady_clock;

// How long a polite goodbye may take: qemu logs a client that just hangs up, but nothing depends on it.
constexpr int kDisconnectTimeoutMs = 200;

// A request for block status that is under way. libnbd holds it until it will not call back any more, which may be
// after the one who asked has given up.
struct StatusQuery {
  std::string context;
  NbdConnection::OnExtent on_extent;  // none once nobody waits
  unsigned answers = 0;
  bool is_completed = false;
  bool is_failed = false;
};
using StatusQueryRef = std::shared_ptr<StatusQuery>;

// The query, where extents of the context are to be told of.
StatusQuery* take_answer(void* user_data, const char* context) {
  StatusQuery* query = static_cast<StatusQueryRef*>(user_data)->get();
  return query->context == context && query->on_extent && ++query->answers == 1 ? query : nullptr;
}

#ifdef LIBNBD_HAVE_NBD_AIO_BLOCK_STATUS_64
int on_extents(void* user_data, const char* context, std::uint64_t, nbd_extent* entries, std::size_t count, int*) {
  StatusQuery* query = take_answer(user_data, context);
  for (std::size_t i = 0; query != nullptr && i < count; ++i) query->on_extent(entries[i].length, entries[i].flags);
  return 0;
}
#else
// `entries` are pairs of length and flags, `count` counts both.
int on_extents(void* user_data, const char* context, std::uint64_t, std::uint32_t* entries, std::size_t count, int*) {
  StatusQuery* query = take_answer(user_data, context);
  for (std::size_t i = 0; query != nullptr && i + 1 < count; i += 2) query->on_extent(entries[i], entries[i + 1]);
  return 0;
}
#endif

int on_completed(void* user_data, int* error) {
  StatusQuery& query = **static_cast<StatusQueryRef*>(user_data);
  query.is_completed = true;
  query.is_failed = *error != 0;
  return 1;  // libnbd forgets the command
}

void drop_query(void* user_data) { delete static_cast<StatusQueryRef*>(user_data); }

// libnbd drops what it is given also where the call itself fails.
bool send(nbd_handle* handle, std::uint64_t offset, std::uint64_t length, const StatusQueryRef& query) {
  const nbd_completion_callback completed = {on_completed, new StatusQueryRef(query), drop_query};
#ifdef LIBNBD_HAVE_NBD_AIO_BLOCK_STATUS_64
  const nbd_extent64_callback extent = {on_extents, new StatusQueryRef(query), drop_query};
  return nbd_aio_block_status_64(handle, length, offset, extent, completed, 0) >= 0;
#else
  const nbd_extent_callback extent = {on_extents, new StatusQueryRef(query), drop_query};
  return nbd_aio_block_status(handle, length, offset, extent, completed, 0) >= 0;
#endif
}

bool gone(nbd_handle* handle) { return nbd_aio_is_dead(handle) == 1 || nbd_aio_is_closed(handle) == 1; }

}  // namespace

NbdConnection::~NbdConnection() {
  if (!handle_ || cancel_.cancelled() || nbd_aio_is_ready(handle_.get()) != 1 ||
      nbd_aio_in_flight(handle_.get()) != 0 || nbd_aio_disconnect(handle_.get(), 0) != 0) {
    return;
  }
  const auto deadline = Clock::now() + std::chrono::milliseconds(kDisconnectTimeoutMs);
  while (!gone(handle_.get()) && Clock::now() < deadline) {
    if (!step(kDisconnectTimeoutMs / 4).ok()) break;
  }
}

std::string NbdConnection::last_error() {
  const char* text = nbd_get_error();
  std::string message = text != nullptr ? text : "unknown error";
  // "nbd_aio_connect_unix: connect: No such file or directory": the name of the call means nothing to an administrator.
  if (message.starts_with("nbd_")) {
    const auto colon = message.find(": ");
    if (colon != std::string::npos) message.erase(0, colon + 2);
  }
  std::replace_if(
      message.begin(), message.end(), [](char c) { return c == '\n' || c == '\r'; }, ' ');
  return message;
}

Status NbdConnection::prepare() {
  handle_.reset(nbd_create());
  if (!handle_) return Status(Code::E_SOURCE_UNREACHABLE, "connecting to " + name_ + ": " + last_error());
  nbd_handle* handle = handle_.get();
  if (nbd_set_request_structured_replies(handle, true) != 0 || nbd_add_meta_context(handle, context_.c_str()) != 0 ||
      nbd_set_strict_mode(handle, LIBNBD_STRICT_MASK) != 0 || nbd_set_tls(handle, LIBNBD_TLS_DISABLE) != 0 ||
      nbd_set_uri_allow_tls(handle, LIBNBD_TLS_DISABLE) != 0 ||
      nbd_set_uri_allow_transports(handle, LIBNBD_ALLOW_TRANSPORT_TCP | LIBNBD_ALLOW_TRANSPORT_UNIX) != 0 ||
      nbd_set_uri_allow_local_file(handle, false) != 0) {
    return Status(Code::E_SOURCE_UNREACHABLE, "connecting to " + name_ + ": " + last_error());
  }
  return {};
}

Status NbdConnection::connect(const NbdSocketAddress& address) {
  VZV_TRY(prepare());
  if (nbd_set_export_name(handle(), address.export_name.c_str()) != 0 ||
      nbd_aio_connect_unix(handle(), address.socket_path.c_str()) != 0) {
    return Status(Code::E_SOURCE_UNREACHABLE, "connecting to " + name_ + ": " + last_error());
  }
  return finish_connecting();
}

Status NbdConnection::connect(const NbdUriAddress& address) {
  if (!address.uri.starts_with("nbd://") && !address.uri.starts_with("nbd+unix://")) {
    return Status(Code::E_ARGUMENT_INVALID, name_ + " is no URI that begins with nbd:// or nbd+unix://");
  }
  VZV_TRY(prepare());
  if (nbd_aio_connect_uri(handle(), address.uri.c_str()) != 0) {
    return Status(Code::E_SOURCE_UNREACHABLE, "connecting to " + name_ + ": " + last_error());
  }
  return finish_connecting();
}

Status NbdConnection::finish_connecting() {
  Status status = wait_until([this] { return nbd_aio_is_ready(handle()) == 1; }, "connecting to");
  if (status.code() != Code::E_SOURCE_READ) return status;
  return Status(Code::E_SOURCE_UNREACHABLE, "connecting to " + status.message());
}

Status NbdConnection::wait_until(const std::function<bool()>& done, const std::string& doing) {
  auto heard = Clock::now();
  while (!done()) {
    const auto silent = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - heard).count();
    if (silent >= stall_timeout_ms_) {
      return Status(Code::E_SOURCE_STALLED,
                    doing + " " + name_ + ": no answer for " + std::to_string(stall_timeout_ms_) + " ms");
    }
    Result<bool> stepped = step(stall_timeout_ms_ - static_cast<int>(silent));
    if (!stepped.ok()) return stepped.status();
    if (*stepped) heard = Clock::now();
  }
  return {};
}

Status NbdConnection::block_status(std::uint64_t offset, std::uint64_t length, const std::string& doing, Code code,
                                   OnExtent on_extent) {
  const auto refused = [&](const std::string& why) {
    return Status(code, doing + " " + name_ + " at offset " + std::to_string(offset) + ": " + why);
  };
  const auto query = std::make_shared<StatusQuery>(StatusQuery{context_, std::move(on_extent)});
  if (!send(handle(), offset, length, query)) return refused(last_error());
  Status status = wait_until([&query] { return query->is_completed; }, doing);
  query->on_extent = nullptr;
  if (!status.ok()) return status;
  if (query->is_failed) return refused("the server failed to answer");
  return query->answers == 1 ? Status() : refused("the server gave " + std::to_string(query->answers) + " answers");
}

void NbdConnection::allow_odd_end(std::uint64_t size_bytes) {
  const std::int64_t smallest = nbd_get_block_size(handle(), LIBNBD_SIZE_MINIMUM);
  if (smallest > 1 && size_bytes % static_cast<std::uint64_t>(smallest) != 0) {
    nbd_set_strict_mode(handle(), LIBNBD_STRICT_MASK & ~LIBNBD_STRICT_ALIGN);
  }
}

Status NbdConnection::alive() const {
  if (!gone(handle_.get())) return {};
  return Status(Code::E_SOURCE_READ, name_ + ": the NBD server closed the connection");
}

Result<bool> NbdConnection::step(int timeout_ms) {
  if (cancel_.cancelled()) return cancel_.status();
  nbd_handle* handle = handle_.get();
  VZV_TRY(alive());
  const unsigned direction = nbd_aio_get_direction(handle);
  const short events = static_cast<short>(((direction & LIBNBD_AIO_DIRECTION_READ) != 0 ? POLLIN : 0) |
                                          ((direction & LIBNBD_AIO_DIRECTION_WRITE) != 0 ? POLLOUT : 0));
  pollfd fds[2] = {{nbd_aio_get_fd(handle), events, 0}, {cancel_.poll_fd(), POLLIN, 0}};
  // Without the token's descriptor it is looked at often instead.
  if (cancel_.poll_fd() < 0) timeout_ms = std::min(timeout_ms, 50);
  const int ready = ::poll(fds, 2, std::max(timeout_ms, 0));
  if (ready < 0 && errno != EINTR) return Status(Code::E_SOURCE_READ, name_ + ": poll: " + errno_text(errno));
  if (cancel_.cancelled()) return cancel_.status();
  if (ready <= 0 || fds[0].revents == 0) return false;

  int notified = 0;
  if ((direction & LIBNBD_AIO_DIRECTION_READ) != 0 && (fds[0].revents & (POLLIN | POLLHUP)) != 0) {
    notified = nbd_aio_notify_read(handle);
  } else if ((direction & LIBNBD_AIO_DIRECTION_WRITE) != 0 && (fds[0].revents & (POLLOUT | POLLHUP)) != 0) {
    notified = nbd_aio_notify_write(handle);
  } else {
    return Status(Code::E_SOURCE_READ, name_ + ": the connection to the NBD server failed");
  }
  if (notified != 0) return Status(Code::E_SOURCE_READ, name_ + ": " + last_error());
  return true;
}

}  // namespace vzv
