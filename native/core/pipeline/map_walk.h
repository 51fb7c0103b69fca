// Goes through a volume's map once: zeroes in the caller's thread, chunks with data in several threads at once.
//
// The queue between them is bounded; subtrees that are all zero are passed over in one step and never read.
#pragma once

#include <cstdint>
#include <functional>

#include "core/base/cancel.h"
#include "core/store/map_reader.h"

namespace vzv {

struct MapVisitor {
  // All of [first_chunk, first_chunk + count) is zero. Called in the thread of walk_map(), in ascending order.
  std::function<Status(std::uint64_t first_chunk, std::uint64_t count)> zero;
  // A chunk with data. Called by several threads at once, in no order.
  std::function<Status(std::uint64_t chunk, const Id& id)> data;
  // The map cannot be read for [first_chunk, first_chunk + count), at most the chunks of one leaf. Success: the walk
  // goes on behind them. Called in the thread of walk_map(). Absent: the error ends the walk.
  std::function<Status(std::uint64_t first_chunk, std::uint64_t count, const Status& status)> unreadable;
};

// The first error of map, visitor or token; all threads have ended when it returns.
Status walk_map(MapReader& map, const CancelToken& cancel, const MapVisitor& visitor);

}  // namespace vzv
