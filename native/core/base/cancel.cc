#include "core/base/cancel.h"

#include <sys/eventfd.h>

namespace vzv {

CancelToken::CancelToken() : event_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

void CancelToken::cancel() {
  if (cancelled_.exchange(true, std::memory_order_acq_rel)) return;
  // Cannot fail: a counter that was zero takes a one. Without a descriptor, waiters look at the flag when their timeout
  // ends.
  if (event_.valid()) (void)::eventfd_write(event_.get(), 1);
}

Status CancelToken::status() const {
  return cancelled() ? Status(Code::E_CANCELLED, "the task was stopped") : Status();
}

}  // namespace vzv
