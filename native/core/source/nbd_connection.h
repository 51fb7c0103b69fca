// One libnbd handle and the waiting on it: every wait ends at a sign of life, at a deadline, or when the token is
// cancelled.
//
// Used by one thread. libnbd's own blocking calls are not used, they can be neither cancelled nor timed.
#pragma once

#include <libnbd.h>

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

  nbd_handle* handle() const { return handle_.get(); }
  const std::string& name() const { return name_; }
  int stall_timeout_ms() const { return stall_timeout_ms_; }
  // What libnbd's last call on this thread complained about, on one line, without the name of the call.
  static std::string last_error();
  // E_SOURCE_STALLED, `doing` what.
  Status stalled(const std::string& doing) const;

 private:
  struct Close {
    void operator()(nbd_handle* handle) const { nbd_close(handle); }
  };

  Status prepare();
  Status finish_connecting();
  const std::string name_;
  const std::string context_;
  const int stall_timeout_ms_;
  const CancelToken& cancel_;
  std::unique_ptr<nbd_handle, Close> handle_;
};

}  // namespace vzv
