// Gives a source's ranges back to it once they are durable in the repository, beside the reads.
//
// The first refusal ends it: nothing more is tried, and why is kept. It never fails a backup.
//
// One thread, that of the source, except for tracker().
#pragma once

#include <optional>
#include <string>

#include "core/pipeline/counters.h"
#include "core/pipeline/discard_tracker.h"
#include "core/source/block_source.h"

namespace vzv {

class Discarder {
 public:
  // REQUIRES: what is referred to outlives this, and the source is not polled after its end.
  Discarder(BlockSource& source, bool is_wanted, BackupCounters& counters)
      : source_(source), is_wanted_(is_wanted), counters_(counters), tracker_(source.size_bytes()) {}
  Discarder(const Discarder&) = delete;
  Discarder& operator=(const Discarder&) = delete;

  // Where to say what was stored; null where nothing is discarded.
  DiscardTracker* tracker() { return is_wanted_ ? &tracker_ : nullptr; }

  // Submits what may be discarded by now. The source's poll() completes it.
  void submit();
  unsigned in_flight() const { return in_flight_; }
  // As a refusal.
  void give_up(const std::string& why);
  // Why it ended before all was discarded.
  const std::optional<std::string>& refusal() const { return refusal_; }

 private:
  BlockSource& source_;
  const bool is_wanted_;
  BackupCounters& counters_;
  DiscardTracker tracker_;
  unsigned in_flight_ = 0;
  std::optional<std::string> refusal_;
};

}  // namespace vzv
