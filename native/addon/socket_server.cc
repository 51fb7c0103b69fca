#include "addon/socket_server.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "addon/limits.h"
#include "addon/threads.h"

namespace vzv::addon {

namespace {

// What epoll reports of the two descriptors that are no connections.
constexpr std::uint64_t kListenerNumber = 0;
constexpr std::uint64_t kWakeupNumber = 1;

Status listen_errno(int error, const std::string& path, const char* doing) {
  const std::string message = std::string(doing) + " the socket " + path + ": " + errno_text(error);
  switch (error) {
    case ENOENT:
    case ENOTDIR:
      return Status(Code::E_PATH_MISSING, message);
    case EADDRINUSE:
      return Status(Code::E_NAME_TAKEN, message);
    default:
      return storage_errno(error, std::string(doing) + " the socket " + path);
  }
}

Result<sockaddr_un> socket_address(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) {
    return Status(Code::E_ARGUMENT_INVALID, "the path of a socket has at most " +
                                                std::to_string(sizeof address.sun_path - 1) + " bytes: " + path);
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

// The directory of the socket, locked against other daemons that start at the same moment.
UniqueFd lock_parent(const std::string& path) {
  const std::size_t slash = path.find_last_of('/');
  const std::string parent = slash == 0 || slash == std::string::npos ? "/" : path.substr(0, slash);
  UniqueFd directory(open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory.valid()) flock(directory.get(), LOCK_EX);
  return directory;
}

// Removes a socket that nobody answers on. Success also where nothing is there.
Status remove_stale(const std::string& path, const sockaddr_un& address) {
  struct stat found;
  if (lstat(path.c_str(), &found) != 0) {
    return errno == ENOENT ? Status() : listen_errno(errno, path, "looking for");
  }
  if (!S_ISSOCK(found.st_mode)) return Status(Code::E_NAME_TAKEN, path + " exists and is not a socket");
  UniqueFd probe(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!probe.valid()) return listen_errno(errno, path, "probing");
  if (connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 || errno == EAGAIN) {
    return Status(Code::E_NAME_TAKEN, "another process answers on " + path);
  }
  if (errno != ECONNREFUSED) return listen_errno(errno, path, "probing");
  if (unlink(path.c_str()) != 0 && errno != ENOENT) return listen_errno(errno, path, "removing");
  return Status();
}

Result<UniqueFd> bind_and_listen(const std::string& path) {
  Result<sockaddr_un> address = socket_address(path);
  if (!address.ok()) return address.status();
  const UniqueFd lock = lock_parent(path);
  if (!lock.valid()) return listen_errno(errno, path, "opening the directory of");
  VZV_TRY(remove_stale(path, *address));
  UniqueFd listener(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!listener.valid()) return listen_errno(errno, path, "making");
  if (bind(listener.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof *address) != 0) {
    return listen_errno(errno, path, "binding");
  }
  // Until listen() every connect() is refused, so nobody gets in by the mode that bind() gave it.
  if (chmod(path.c_str(), S_IRUSR | S_IWUSR) != 0 || ::listen(listener.get(), limits::kBacklog) != 0) {
    return listen_errno(errno, path, "listening on");
  }
  return listener;
}

}  // namespace

SocketServer::SocketServer(std::string path, UniqueFd listener, Accepted accepted)
    : path_(std::move(path)),
      accepted_(std::move(accepted)),
      epoll_(epoll_create1(EPOLL_CLOEXEC)),
      wakeup_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      listener_(std::move(listener)),
      last_number_(kWakeupNumber) {
  struct stat ours;
  if (lstat(path_.c_str(), &ours) == 0) {
    device_ = ours.st_dev;
    inode_ = ours.st_ino;
  }
}

SocketServer::~SocketServer() = default;

Result<std::shared_ptr<SocketServer>> SocketServer::listen(const std::string& path, Accepted accepted) {
  Result<UniqueFd> listener = bind_and_listen(path);
  if (!listener.ok()) return listener.status();
  std::shared_ptr<SocketServer> server(new SocketServer(path, std::move(listener).value(), std::move(accepted)));
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = kWakeupNumber;
  if (!server->epoll_.valid() || !server->wakeup_.valid() ||
      epoll_ctl(server->epoll_.get(), EPOLL_CTL_ADD, server->wakeup_.get(), &event) != 0 ||
      !start_thread("vzv-sockets", [server] { server->run(); })) {
    unlink(path.c_str());
    return Status(Code::E_INTERNAL, "serving the socket " + path + ": " + errno_text(errno));
  }
  return server;
}

void SocketServer::close() {
  if (is_closed_.exchange(true)) return;
  struct stat found;
  if (lstat(path_.c_str(), &found) == 0 && found.st_dev == device_ && found.st_ino == inode_) unlink(path_.c_str());
  wake(nullptr);
}

void SocketServer::wake(std::shared_ptr<SocketConnection> connection) {
  if (connection) {
    std::lock_guard lock(mutex_);
    woken_.push_back(std::move(connection));
  }
  const std::uint64_t one = 1;
  // Fails only when the counter is full, and then the thread is awake.
  [[maybe_unused]] const ssize_t written = write(wakeup_.get(), &one, sizeof one);
}

void SocketServer::run() {
  std::array<epoll_event, 64> events;
  while (!is_closed_ || !connections_.empty()) {
    const int count = epoll_wait(epoll_.get(), events.data(), events.size(), watch_or_wait());
    for (int i = 0; i < count; ++i) {
      const std::uint64_t number = events[i].data.u64;
      if (number == kListenerNumber) {
        accept_all();
      } else if (number == kWakeupNumber) {
        serve_woken();
      } else if (auto found = connections_.find(number); found != connections_.end()) {
        // Copied: serving may remove it from the map.
        const std::shared_ptr<SocketConnection> connection = found->second.connection;
        serve(connection, events[i].events);
      }
    }
  }
  listener_.reset();
}

int SocketServer::watch_or_wait() {
  constexpr int kForever = -1;
  if (is_closed_) {
    listener_.reset();
    return kForever;
  }
  if (is_listener_watched_ || connections_.size() >= limits::kConnections) return kForever;
  const auto now = std::chrono::steady_clock::now();
  if (now < accept_again_) return limits::kAcceptRetryMs;
  watch_listener(true);
  return kForever;
}

void SocketServer::serve_woken() {
  std::uint64_t count;
  [[maybe_unused]] const ssize_t size = read(wakeup_.get(), &count, sizeof count);
  std::vector<std::shared_ptr<SocketConnection>> woken;
  {
    std::lock_guard lock(mutex_);
    woken.swap(woken_);
  }
  for (const auto& connection : woken) {
    if (connections_.contains(connection->number())) serve(connection, 0);
  }
}

void SocketServer::accept_all() {
  while (!is_closed_ && connections_.size() < limits::kConnections) {
    UniqueFd accepted(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (accepted.valid()) {
      adopt(std::move(accepted));
      continue;
    }
    if (errno == EINTR || errno == ECONNABORTED) continue;
    if (errno == EAGAIN) return;
    // No descriptor or memory left.
    accept_again_ = std::chrono::steady_clock::now() + std::chrono::milliseconds(limits::kAcceptRetryMs);
    break;
  }
  if (!is_closed_) watch_listener(false);
}

void SocketServer::adopt(UniqueFd socket) {
  ucred credentials{};
  socklen_t length = sizeof credentials;
  if (getsockopt(socket.get(), SOL_SOCKET, SO_PEERCRED, &credentials, &length) != 0) return;
  const PeerCredentials peer{credentials.pid, credentials.uid, credentials.gid};
  // Weak: a connection that is kept by JavaScript must not keep the server.
  auto wake_us = [weak = weak_from_this()](std::shared_ptr<SocketConnection> connection) {
    if (auto server = weak.lock()) server->wake(std::move(connection));
  };
  auto connection = std::make_shared<SocketConnection>(++last_number_, std::move(socket), peer, std::move(wake_us));
  connections_[connection->number()] = Served{connection};
  accepted_(connection);
}

void SocketServer::serve(const std::shared_ptr<SocketConnection>& connection, std::uint32_t events) {
  auto found = connections_.find(connection->number());
  // A socket that is closed leaves epoll by itself.
  const auto interest = connection->serve(events);
  if (!interest) {
    connections_.erase(found);
    return;
  }
  Served& served = found->second;
  const std::uint32_t wanted = (interest->reading ? EPOLLIN : 0U) | (interest->writing ? EPOLLOUT : 0U);
  epoll_event event{};
  event.events = wanted;
  event.data.u64 = connection->number();
  // The end of a connection is reported whether it is wanted or not, again and again. One that waits for JavaScript to
  // handle what came is left alone until then; it will read of its end.
  if (wanted == 0 && (events & (EPOLLHUP | EPOLLERR)) != 0) {
    if (std::exchange(served.in_epoll, false)) epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, connection->fd(), &event);
    return;
  }
  if (served.in_epoll && served.wanted == wanted) return;
  epoll_ctl(epoll_.get(), served.in_epoll ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, connection->fd(), &event);
  served.in_epoll = true;
  served.wanted = wanted;
}

void SocketServer::watch_listener(bool is_watched) {
  if (is_watched == is_listener_watched_) return;
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = kListenerNumber;
  epoll_ctl(epoll_.get(), is_watched ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, listener_.get(), &event);
  is_listener_watched_ = is_watched;
}

}  // namespace vzv::addon
