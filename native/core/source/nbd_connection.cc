#include "core/source/nbd_connection.h"

#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <chrono>

namespace vzv {

namespace {

using Clock = std::chrono::steady_clock;

// How long a polite goodbye may take: qemu logs a client that just hangs up, but nothing depends on it.
constexpr int kDisconnectTimeoutMs = 200;

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

Status NbdConnection::stalled(const std::string& doing) const {
  return Status(Code::E_SOURCE_STALLED,
                doing + " " + name_ + ": no answer for " + std::to_string(stall_timeout_ms_) + " ms");
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
  auto heard = Clock::now();
  while (nbd_aio_is_ready(handle()) != 1) {
    const auto silent = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - heard).count();
    if (silent >= stall_timeout_ms_) return stalled("connecting to");
    Result<bool> stepped = step(stall_timeout_ms_ - static_cast<int>(silent));
    if (!stepped.ok()) {
      if (stepped.status().code() != Code::E_SOURCE_READ) return stepped.status();
      return Status(Code::E_SOURCE_UNREACHABLE, "connecting to " + stepped.status().message());
    }
    if (*stepped) heard = Clock::now();
  }
  return {};
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
