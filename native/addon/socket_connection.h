// One accepted connection of a SocketServer: what waits to be sent, what was received and is not handled yet.
//
// Two threads meet here. JavaScript calls start, send, set_paused, close and handled, which only note what is wanted
// and wake the server's thread; that thread alone touches the socket (serve). Everything it finds goes back through
// Events.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "core/base/file.h"
#include "core/base/id.h"
#include "core/base/status.h"

namespace vzv::addon {

struct PeerCredentials {
  std::int64_t pid;
  std::int64_t uid;
  std::int64_t gid;
};

class SocketConnection : public std::enable_shared_from_this<SocketConnection> {
 public:
  // Called on the server's thread, in order; `closed` is the last, exactly once.
  struct Events {
    std::function<void(Bytes bytes, std::vector<UniqueFd> fds)> received;
    // nullopt: ended by either side in the normal way.
    std::function<void(std::optional<std::string> error)> closed;
  };
  // Success once the kernel took everything; E_CONNECTION_LOST. Called on the server's thread, or within send().
  using Sent = std::function<void(Status status)>;

  SocketConnection(std::uint64_t number, UniqueFd socket, PeerCredentials peer,
                   std::function<void(std::shared_ptr<SocketConnection>)> wake);

  std::uint64_t number() const { return number_; }
  const PeerCredentials& peer() const { return peer_; }

  // --- From any thread ---
  void start(Events events);
  void send(Bytes bytes, std::vector<UniqueFd> fds, Sent sent);
  void set_paused(bool is_paused);
  void close();
  // As many of the received bytes have been handled: as many more may be received.
  void handled(std::size_t bytes);

  // --- From the server's thread ---
  struct Interest {
    bool reading;
    bool writing;
  };
  int fd() const { return socket_.get(); }
  // Does what can be done without blocking. `events` are those of epoll, 0 after a wake. Nothing: the connection is
  // over, its socket closed.
  std::optional<Interest> serve(std::uint32_t events);
  // Ends the connection if it is not over yet.
  void finish(std::optional<std::string> error);

 private:
  struct Outgoing {
    Bytes bytes;
    std::vector<UniqueFd> fds;
    std::size_t sent_bytes = 0;
    Sent sent;
  };
  enum class Step { kDone, kBlocked, kOver };

  bool may_read();
  Step flush();
  Step receive();

  const std::uint64_t number_;
  const PeerCredentials peer_;
  const std::function<void(std::shared_ptr<SocketConnection>)> wake_;
  UniqueFd socket_;  // server's thread only

  std::mutex mutex_;
  // Guarded by mutex_:
  std::optional<Events> events_;  // none: not started
  bool is_paused_ = false;
  bool is_closing_ = false;
  bool is_over_ = false;
  std::size_t unhandled_bytes_ = 0;
  std::deque<Outgoing> outgoing_;
};

}  // namespace vzv::addon
