// One libnbd handle and the waiting on it: every wait ends at a sign of life, at a deadline, or when the token is
// cancelled.
//
// Used by one thread. libnbd's own blocking calls are not used, they can be neither cancelled nor timed.
#pragma once

#include <libnbd.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "core/base/cancel.h"
#include "core/source/open_source.h"

namespace vzv {

class NbdConnection {
 public:
  // `name` is what messages call the export, `context` the one kind of block status that is asked for. The token must
  // outlive the connection.
  NbdConnection(std::string name, int stall_timeout_ms, const CancelToken& cancel,
                std::string context = LIBNBD_CONTEXT_BASE_ALLOCATION)
      : name_(std::move(name)), context_(std::move(context)), stall_timeout_ms_(stall_timeout_ms), cancel_(cancel) {}
  ~NbdConnection();
  NbdConnection(const NbdConnection&) = delete;
  NbdConnection& operator=(const NbdConnection&) = delete;

  // Connects and shakes hands, asking for structured replies and the context.
  Status connect(const NbdSocketAddress& address);
  Status connect(const NbdUriAddress& address);

  // Lets libnbd send and receive what it can without waiting, after waiting up to timeout_ms for something to do.
  // False: there was nothing. E_CANCELLED; E_SOURCE_READ once the connection is gone (after the commands in flight were
  // completed with an error).
  Result<bool> step(int timeout_ms);

  // E_SOURCE_READ once the connection is gone.
  Status alive() const;

  // An extent of an answer about block status; the first begins where was asked, each behind the one before.
  using OnExtent = std::function<void(std::uint64_t length, std::uint64_t flags)>;

  // Asks for the context's status of [offset, offset + length) and waits for the answer, which may say less than was
  // asked, or more (NBD protocol, NBD_REPLY_TYPE_BLOCK_STATUS); on_extent is not called after this returns. The errors
  // of step(), E_SOURCE_STALLED, and `code` where the server does not answer what was asked; `doing` says what this is
  // for. REQUIRES: 0 < length <= kBlockStatusMaxBytes
  Status block_status(std::uint64_t offset, std::uint64_t length, const std::string& doing, Code code,
                      OnExtent on_extent);

  // Where whole blocks of the server's do not make up the size, it must decide itself whether it serves the end.
  void allow_odd_end(std::uint64_t size_bytes);

  nbd_handle* handle() const { return handle_.get(); }
  const std::string& name() const { return name_; }
  // What libnbd's last call on this thread complained about, on one line, without the name of the call.
  static std::string last_error();

 private:
  struct Close {
    void operator()(nbd_handle* handle) const { nbd_close(handle); }
  };

  Status prepare();
  Status finish_connecting();
  // Steps until it is done, each sign of life beginning the time anew. `doing` is for E_SOURCE_STALLED.
  Status wait_until(const std::function<bool()>& done, const std::string& doing);

  const std::string name_;
  const std::string context_;
  const int stall_timeout_ms_;
  const CancelToken& cancel_;
  std::unique_ptr<nbd_handle, Close> handle_;
};

}  // namespace vzv
