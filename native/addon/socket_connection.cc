#include "addon/socket_connection.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "addon/limits.h"

namespace vzv::addon {

namespace {

// Room for the descriptors of one message, aligned as the kernel wants it.
union ControlBuffer {
  char bytes[CMSG_SPACE(sizeof(int) * limits::kDescriptors)];
  cmsghdr alignment;
};

// Takes over the descriptors that came with a message.
std::vector<UniqueFd> descriptors_of(msghdr& message) {
  std::vector<UniqueFd> fds;
  for (cmsghdr* control = CMSG_FIRSTHDR(&message); control != nullptr; control = CMSG_NXTHDR(&message, control)) {
    if (control->cmsg_level != SOL_SOCKET || control->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (control->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd;
      std::memcpy(&fd, CMSG_DATA(control) + i * sizeof(int), sizeof fd);
      fds.emplace_back(fd);
    }
  }
  return fds;
}

// sendmsg(2) of `bytes`, with `fds` on the first of them. Bytes sent, or a negative errno.
std::int64_t send_some(int socket, ByteSpan bytes, const std::vector<UniqueFd>& fds) {
  iovec vector{const_cast<std::uint8_t*>(bytes.data()), bytes.size()};
  msghdr message{};
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  ControlBuffer control{};
  if (!fds.empty()) {
    message.msg_control = control.bytes;
    message.msg_controllen = CMSG_SPACE(sizeof(int) * fds.size());
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int) * fds.size());
    for (std::size_t i = 0; i < fds.size(); ++i) {
      const int fd = fds[i].get();
      std::memcpy(CMSG_DATA(header) + i * sizeof(int), &fd, sizeof fd);
    }
  }
  ssize_t count;
  do {
    count = sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
  } while (count < 0 && errno == EINTR);
  return count < 0 ? -errno : count;
}

Status connection_lost(const std::string& why) { return Status(Code::E_CONNECTION_LOST, "sending failed: " + why); }

}  // namespace

SocketConnection::SocketConnection(std::uint64_t number, UniqueFd socket, PeerCredentials peer,
                                   std::function<void(std::shared_ptr<SocketConnection>)> wake)
    : number_(number), peer_(peer), wake_(std::move(wake)), socket_(std::move(socket)) {}

void SocketConnection::start(Events events) {
  {
    std::lock_guard lock(mutex_);
    if (events_ || is_over_) return;
    events_ = std::move(events);
  }
  wake_(shared_from_this());
}

void SocketConnection::send(Bytes bytes, std::vector<UniqueFd> fds, Sent sent) {
  {
    std::unique_lock lock(mutex_);
    if (is_over_ || is_closing_) {
      lock.unlock();
      sent(connection_lost("the connection has ended"));
      return;
    }
    outgoing_.push_back({std::move(bytes), std::move(fds), 0, std::move(sent)});
  }
  wake_(shared_from_this());
}

void SocketConnection::set_paused(bool is_paused) {
  {
    std::lock_guard lock(mutex_);
    is_paused_ = is_paused;
  }
  wake_(shared_from_this());
}

void SocketConnection::close() {
  {
    std::lock_guard lock(mutex_);
    is_closing_ = true;
  }
  wake_(shared_from_this());
}

void SocketConnection::handled(std::size_t bytes) {
  bool was_full;
  {
    std::lock_guard lock(mutex_);
    was_full = unhandled_bytes_ >= limits::kUnhandledBytes;
    unhandled_bytes_ -= bytes;
  }
  if (was_full) wake_(shared_from_this());
}

bool SocketConnection::may_read() {
  std::lock_guard lock(mutex_);
  return events_ && !is_paused_ && !is_closing_ && unhandled_bytes_ < limits::kUnhandledBytes;
}

std::optional<SocketConnection::Interest> SocketConnection::serve(std::uint32_t events) {
  bool is_paused;
  bool is_closing;
  {
    std::lock_guard lock(mutex_);
    if (is_over_) return std::nullopt;
    is_paused = is_paused_;
    is_closing = is_closing_;
  }
  if (is_closing) {
    finish(std::nullopt);
    return std::nullopt;
  }
  const Step flushed = flush();
  if (flushed == Step::kOver) return std::nullopt;
  if (may_read()) {
    if (receive() == Step::kOver) return std::nullopt;
  } else if ((events & (EPOLLHUP | EPOLLERR)) != 0 && is_paused) {
    // The peer is gone. Nothing can be answered any more, so nothing needs to be read.
    finish(std::nullopt);
    return std::nullopt;
  }
  return Interest{.reading = may_read(), .writing = flushed == Step::kBlocked};
}

SocketConnection::Step SocketConnection::flush() {
  for (;;) {
    Outgoing* first;
    {
      // Only this thread removes from the front, and a deque's elements stay where they are when others are pushed
      // behind.
      std::lock_guard lock(mutex_);
      if (outgoing_.empty()) return Step::kDone;
      first = &outgoing_.front();
    }
    while (first->sent_bytes < first->bytes.size()) {
      const ByteSpan rest = ByteSpan(first->bytes).subspan(first->sent_bytes);
      const std::int64_t count = send_some(socket_.get(), rest, first->fds);
      if (count == -EAGAIN || count == -ENOBUFS) return Step::kBlocked;
      if (count < 0) {
        finish(errno_text(static_cast<int>(-count)));
        return Step::kOver;
      }
      first->sent_bytes += static_cast<std::size_t>(count);
      first->fds.clear();  // they went with the first byte
    }
    Sent sent = std::move(first->sent);
    {
      std::lock_guard lock(mutex_);
      outgoing_.pop_front();
    }
    sent(Status());
  }
}

SocketConnection::Step SocketConnection::receive() {
  thread_local Bytes buffer(limits::kReceiveBytes);
  while (may_read()) {
    iovec vector{buffer.data(), buffer.size()};
    ControlBuffer control{};
    msghdr message{};
    message.msg_iov = &vector;
    message.msg_iovlen = 1;
    message.msg_control = control.bytes;
    message.msg_controllen = sizeof control.bytes;
    const ssize_t count = recvmsg(socket_.get(), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (count < 0) {
      if (errno == EINTR) continue;
      if (errno == EAGAIN) return Step::kBlocked;
      // A peer that closes before it has read everything: an end like any other.
      if (errno == ECONNRESET)
        finish(std::nullopt);
      else
        finish("receiving failed: " + errno_text(errno));
      return Step::kOver;
    }
    std::vector<UniqueFd> fds = descriptors_of(message);
    if ((message.msg_flags & MSG_CTRUNC) != 0) {
      finish("more descriptors came with a message than " + std::to_string(limits::kDescriptors));
      return Step::kOver;
    }
    if (count == 0) {
      finish(std::nullopt);
      return Step::kOver;
    }
    const auto size = static_cast<std::size_t>(count);
    std::function<void(Bytes, std::vector<UniqueFd>)> received;
    {
      std::lock_guard lock(mutex_);
      unhandled_bytes_ += size;
      received = events_->received;
    }
    received(Bytes(buffer.begin(), buffer.begin() + count), std::move(fds));
  }
  return Step::kDone;
}

void SocketConnection::finish(std::optional<std::string> error) {
  std::deque<Outgoing> unsent;
  std::optional<Events> events;
  {
    std::lock_guard lock(mutex_);
    if (is_over_) return;
    is_over_ = true;
    unsent = std::exchange(outgoing_, {});
    events = std::exchange(events_, std::nullopt);
  }
  socket_.reset();
  for (Outgoing& outgoing : unsent) outgoing.sent(connection_lost(error.value_or("the connection has ended")));
  if (events) events->closed(std::move(error));
}

}  // namespace vzv::addon
