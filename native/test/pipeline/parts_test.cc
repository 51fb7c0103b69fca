// The small parts: rate limiter, buffer pool, first error.
#include <doctest/doctest.h>

#include <thread>
#include <vector>

#include "core/pipeline/buffer_pool.h"
#include "core/pipeline/first_error.h"
#include "core/pipeline/rate_limiter.h"

namespace vzv {
namespace {

using Clock = RateLimiter::Clock;
using std::chrono::milliseconds;
constexpr std::uint64_t kMiB = 1024 * 1024;

// Reads as fast as the limiter lets, and tells how much passed in each 10 ms.
std::vector<std::uint64_t> passed_per_tick(RateLimiter& limiter, Clock::time_point& now, std::uint64_t step,
                                           int ticks) {
  std::vector<std::uint64_t> passed;
  for (int i = 0; i < ticks; ++i) {
    passed.push_back(0);
    now += milliseconds(10);
    while (limiter.take(step, now) == Clock::duration::zero()) passed.back() += step;
  }
  return passed;
}

std::uint64_t most_in_window(const std::vector<std::uint64_t>& passed, std::size_t ticks) {
  std::uint64_t most = 0;
  for (std::size_t begin = 0; begin + ticks <= passed.size(); ++begin) {
    std::uint64_t sum = 0;
    for (std::size_t i = begin; i < begin + ticks; ++i) sum += passed[i];
    most = std::max(most, sum);
  }
  return most;
}

TEST_CASE("the limiter keeps its rate within five per cent over ten seconds, at any rate") {
  for (std::uint64_t rate : {1 * kMiB, 10 * kMiB, 100 * kMiB, 1000 * kMiB}) {
    CAPTURE(rate);
    Clock::time_point now{};
    RateLimiter limiter(rate, now);
    const std::uint64_t step = std::min(limiter.step_max_bytes(), kMiB);
    const auto passed = passed_per_tick(limiter, now, step, 1'000);
    std::uint64_t sum = 0;
    for (std::uint64_t bytes : passed) sum += bytes;
    CHECK(sum <= 10 * rate);
    CHECK(sum >= 9.5 * static_cast<double>(rate));
    CHECK(most_in_window(passed, 100) <= 2 * rate);
  }
}

TEST_CASE("a pipeline that stalls for less than half a second now and then loses nothing of its rate") {
  const std::uint64_t rate = 100 * kMiB;
  Clock::time_point now{};
  RateLimiter limiter(rate, now);
  std::uint64_t sum = 0;
  for (int second = 0; second < 20; ++second) {
    for (std::uint64_t bytes : passed_per_tick(limiter, now, kMiB, 60)) sum += bytes;
    now += milliseconds(400);
  }
  // What was saved up in the last stall is not read any more.
  for (std::uint64_t bytes : passed_per_tick(limiter, now, kMiB, 1)) sum += bytes;
  CHECK(sum <= 1.01 * 20 * static_cast<double>(rate));
  CHECK(sum >= 0.95 * 20 * static_cast<double>(rate));
}

TEST_CASE("several readers share one rate, and a clock that was read early gives nothing twice") {
  const std::uint64_t rate = 64 * kMiB;
  const Clock::time_point begin{};
  RateLimiter limiter(rate, begin);
  std::uint64_t sum = 0;
  for (int tick = 1; tick <= 1'000; ++tick) {
    const Clock::time_point now = begin + milliseconds(10 * tick);
    // The second comes with a time that lies before that of the first.
    while (limiter.take(kMiB, now) == Clock::duration::zero()) sum += kMiB;
    while (limiter.take(kMiB, now - milliseconds(7)) == Clock::duration::zero()) sum += kMiB;
  }
  CHECK(sum <= 10 * rate);
  CHECK(sum >= 9.5 * static_cast<double>(rate));
}

TEST_CASE("what a slow reader left unused comes back as half a second's worth at once") {
  Clock::time_point now{};
  RateLimiter limiter(100 * kMiB, now);
  now += std::chrono::hours(1);
  std::uint64_t burst = 0;
  while (limiter.take(kMiB, now) == Clock::duration::zero()) burst += kMiB;
  CHECK(burst == 50 * kMiB);
}

TEST_CASE("the limiter says how long to wait, and keeps its word") {
  Clock::time_point now{};
  RateLimiter limiter(8 * kMiB, now);
  const auto wait = limiter.take(kMiB, now);
  CHECK(wait > milliseconds(120));
  CHECK(wait < milliseconds(130));
  now += wait;
  CHECK(limiter.take(kMiB, now) == Clock::duration::zero());
}

TEST_CASE("no limit never waits; a tiny one still reads in units that servers take") {
  Clock::time_point now{};
  RateLimiter none(0, now);
  for (int i = 0; i < 1'000; ++i) REQUIRE(none.take(64 * kMiB, now) == Clock::duration::zero());
  RateLimiter tiny(1'000, now);
  CHECK(tiny.step_max_bytes() == 65'536);
  now += std::chrono::seconds(70);
  CHECK(tiny.take(65'536, now) == Clock::duration::zero());
}

TEST_CASE("the pool lends what it has, in one size, and takes it back from any thread, also at its end") {
  ReadBuffer kept;
  {
    BufferPool pool(2, 4096);
    ReadBuffer one = pool.take();
    kept = pool.take();
    REQUIRE(one);
    REQUIRE(kept);
    CHECK(reinterpret_cast<std::uintptr_t>(one.get()) % 4096 == 0);
    CHECK_FALSE(pool.take());
    std::uint8_t* const address = one.get();
    std::thread([buffer = std::move(one)]() mutable { buffer.reset(); }).join();
    CHECK(pool.take().get() == address);
  }
  kept.get()[4095] = 1;
}

TEST_CASE("of several errors the first is kept, and a success is none") {
  FirstError error;
  error.set({});
  CHECK_FALSE(error.failed());
  error.set(Status(Code::E_NO_SPACE, "first"));
  error.set(Status(Code::E_INTERNAL, "second"));
  CHECK(error.failed());
  CHECK(error.status().code() == Code::E_NO_SPACE);
  CHECK(error.status().message() == "first");
}

}  // namespace
}  // namespace vzv
