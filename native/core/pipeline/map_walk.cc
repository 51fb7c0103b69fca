#include "core/pipeline/map_walk.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "core/base/bounded_queue.h"
#include "core/base/guarded.h"
#include "core/base/limits.h"
#include "core/base/threads.h"
#include "core/pipeline/first_error.h"
#include "core/pipeline/workers.h"

namespace vzv {

namespace {

struct Item {
  std::uint64_t chunk;
  Id id;
};

class Walk {
 public:
  Walk(MapReader& map, const CancelToken& cancel, const MapVisitor& visitor)
      : map_(map), cancel_(cancel), visitor_(visitor), queue_(2 * default_workers()) {}

  Status run() {
    Threads threads;
    Status started = threads.start(default_workers(), [this] { visit(); });
    fail(started.ok() ? guarded([this] { return find(); }) : std::move(started));
    queue_.close();
    threads.join();
    return error_.status();
  }

 private:
  void fail(Status status) {
    if (status.ok()) return;
    error_.set(std::move(status));
    // A finder that waits for room goes on, and stops.
    queue_.clear();
  }

  void visit() {
    while (std::optional<Item> item = queue_.pop()) {
      if (error_.failed()) continue;
      Status status = cancel_.status();
      if (status.ok()) status = guarded([&] { return visitor_.data(item->chunk, item->id); });
      fail(std::move(status));
    }
  }

  Status find() {
    const std::uint64_t count = map_.geometry().chunk_count();
    for (std::uint64_t at = 0; at < count;) {
      VZV_TRY(cancel_.status());
      VZV_TRY(error_.status());
      Result<std::uint64_t> data = map_.next_data(at);
      if (data.ok() && *data > at) {
        VZV_TRY(visitor_.zero(at, *data - at));
        at = *data;
        continue;
      }
      Result<Id> id = data.ok() ? map_.chunk(at) : Result<Id>(data.status());
      if (id.ok()) {
        queue_.push(Item{at++, *id});
        continue;
      }
      if (!visitor_.unreadable) return id.status();
      const std::uint64_t leaf_end = std::min(count, (at / limits::kMapFanout + 1) * limits::kMapFanout);
      VZV_TRY(visitor_.unreadable(at, leaf_end - at, id.status()));
      at = leaf_end;
    }
    return {};
  }

  MapReader& map_;
  const CancelToken& cancel_;
  const MapVisitor& visitor_;
  BoundedQueue<Item> queue_;
  FirstError error_;
};

}  // namespace

Status walk_map(MapReader& map, const CancelToken& cancel, const MapVisitor& visitor) {
  return Walk(map, cancel, visitor).run();
}

}  // namespace vzv
