#include "core/base/bounded_queue.h"

#include <doctest/doctest.h>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

using vzv::BoundedQueue;

TEST_CASE("a bounded queue hands items out in the order in which they came") {
  BoundedQueue<int> queue(3);
  CHECK(queue.push(1));
  CHECK(queue.push(2));
  CHECK(queue.size() == 2);
  CHECK(queue.pop() == 1);
  CHECK(queue.try_pop() == 2);
  CHECK(queue.try_pop() == std::nullopt);
}

TEST_CASE("a bounded queue never holds more than its capacity, and loses nothing between threads") {
  BoundedQueue<int> queue(4);
  constexpr int kItems = 5'000;
  std::atomic<std::size_t> most{0};
  std::atomic<long> sum{0};
  std::vector<std::thread> threads;
  for (int producer = 0; producer < 2; ++producer) {
    threads.emplace_back([&] {
      for (int i = 1; i <= kItems; ++i) queue.push(i);
    });
  }
  std::vector<std::thread> consumers;
  for (int consumer = 0; consumer < 2; ++consumer) {
    consumers.emplace_back([&] {
      for (;;) {
        const std::size_t size = queue.size();
        if (size > most.load()) most = size;
        const std::optional<int> item = queue.pop();
        if (!item) return;
        sum += *item;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  queue.close();
  for (auto& thread : consumers) thread.join();
  CHECK(sum == 2L * kItems * (kItems + 1) / 2);
  CHECK(most <= 4);
}

TEST_CASE("closing a queue wakes who waits in push and in pop") {
  BoundedQueue<int> full(1);
  CHECK(full.push(1));
  std::thread pusher([&] { CHECK_FALSE(full.push(2)); });
  BoundedQueue<int> empty(1);
  std::thread popper([&] { CHECK(empty.pop() == std::nullopt); });
  full.close();
  empty.close();
  pusher.join();
  popper.join();
  CHECK(full.closed());
  CHECK(full.pop() == 1);  // what was queued can still be had
  CHECK(full.pop() == std::nullopt);
}

TEST_CASE("clearing a queue drops what is in it and makes room") {
  BoundedQueue<std::shared_ptr<int>> queue(1);
  const auto item = std::make_shared<int>(1);
  queue.push(item);
  std::thread pusher([&] { CHECK(queue.push(nullptr)); });
  queue.clear();
  pusher.join();
  CHECK(item.use_count() == 1);
  CHECK(queue.size() == 1);
}
