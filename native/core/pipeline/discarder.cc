#include "core/pipeline/discarder.h"

#include "core/base/limits.h"

namespace vzv {

void Discarder::give_up(const std::string& why) {
  if (!refusal_) refusal_ = why;
}

void Discarder::submit() {
  if (!is_wanted_) return;
  while (!refusal_ && in_flight_ < limits::kDiscardsInFlight) {
    const std::optional<Range> piece = tracker_.next();
    if (!piece) return;
    const auto done = [this, length = piece->length](const Status& status) {
      --in_flight_;
      if (status.ok()) {
        counters_.discarded_bytes += length;
      } else {
        give_up(status.message());
      }
    };
    ++in_flight_;
    if (const Status refused = source_.submit_discard(piece->offset, piece->length, done); !refused.ok()) {
      --in_flight_;
      give_up(refused.message());
    }
  }
}

}  // namespace vzv
