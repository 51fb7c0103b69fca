// A listening Unix stream socket and its connections, served by one thread with epoll. It knows nothing of JavaScript.
//
// Node's own net cannot receive descriptors, hence this. The thread is not joined by anybody: it ends when the server
// is closed and the last connection is over.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "addon/socket_connection.h"
#include "core/base/file.h"
#include "core/base/status.h"

namespace vzv::addon {

class SocketServer : public std::enable_shared_from_this<SocketServer> {
 public:
  // Called on the server's thread.
  using Accepted = std::function<void(std::shared_ptr<SocketConnection> connection)>;

  // Binds with mode 0600 and listens. A socket at `path` that nobody answers on is replaced; E_NAME_TAKEN where
  // somebody does or something else lies there, E_PATH_MISSING, E_PERMISSION.
  static Result<std::shared_ptr<SocketServer>> listen(const std::string& path, Accepted accepted);

  // Stops accepting and removes the socket's name, if it is still this one. Connections live on. Repeatable, from any
  // thread.
  void close();

  ~SocketServer();
  SocketServer(const SocketServer&) = delete;
  SocketServer& operator=(const SocketServer&) = delete;

 private:
  SocketServer(std::string path, UniqueFd listener, Accepted accepted);

  void wake(std::shared_ptr<SocketConnection> connection);
  void run();
  void serve_woken();
  void accept_all();
  void adopt(UniqueFd socket);
  void serve(const std::shared_ptr<SocketConnection>& connection, std::uint32_t events);
  // Watches the listener again where that is due. How long to wait for events, as epoll_wait(2) takes it.
  int watch_or_wait();
  void watch_listener(bool is_watched);

  const std::string path_;
  const Accepted accepted_;
  dev_t device_ = 0;  // with inode_: which file at path_ is ours
  ino_t inode_ = 0;
  UniqueFd epoll_;
  UniqueFd wakeup_;
  std::atomic<bool> is_closed_{false};

  std::mutex mutex_;
  std::vector<std::shared_ptr<SocketConnection>> woken_;  // guarded by mutex_

  // The server's thread only:
  UniqueFd listener_;
  bool is_listener_watched_ = false;
  std::chrono::steady_clock::time_point accept_again_{};
  std::uint64_t last_number_;
  struct Served {
    std::shared_ptr<SocketConnection> connection;
    bool in_epoll = false;
    std::uint32_t wanted = 0;  // events, while in epoll
  };
  std::map<std::uint64_t, Served> connections_;
};

}  // namespace vzv::addon
