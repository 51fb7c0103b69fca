// A disk behind an NBD server, through libnbd: several reads in flight, structured replies, and base:allocation so that
// holes are not read. A server that knows neither is read whole.
#pragma once

#include <memory>

#include "core/source/open_source.h"

namespace vzv {

// Errors and REQUIRES as for open_source. Looking up a host name of an nbd:// URI is not interruptible.
Result<std::unique_ptr<BlockSource>> open_nbd_source(const NbdSocketAddress& address, int stall_timeout_ms,
                                                     const CancelToken& cancel);
Result<std::unique_ptr<BlockSource>> open_nbd_source(const NbdUriAddress& address, int stall_timeout_ms,
                                                     const CancelToken& cancel);

}  // namespace vzv
