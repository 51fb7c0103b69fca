#include "core/base/cancel.h"

#include <doctest/doctest.h>
#include <poll.h>

#include <thread>

using vzv::CancelToken;
using vzv::Code;

TEST_CASE("a token is not cancelled until it is, and stays so") {
  CancelToken token;
  CHECK_FALSE(token.cancelled());
  CHECK(token.status().ok());
  token.cancel();
  token.cancel();
  CHECK(token.cancelled());
  CHECK(token.status().code() == Code::E_CANCELLED);
}

TEST_CASE("cancelling wakes a thread that waits in poll") {
  CancelToken token;
  pollfd wait{token.poll_fd(), POLLIN, 0};
  CHECK(::poll(&wait, 1, 0) == 0);
  std::thread canceller([&] { token.cancel(); });
  CHECK(::poll(&wait, 1, 60'000) == 1);
  canceller.join();
  CHECK(::poll(&wait, 1, 0) == 1);  // for every thread, however late it comes
}
