// Dirty regions out of a list.
#pragma once

#include <utility>
#include <vector>

#include "core/source/dirty_regions.h"

namespace vzv::test {

class ListedRegions final : public DirtyRegions {
 public:
  explicit ListedRegions(std::vector<Range> regions) : regions_(std::move(regions)) {}

  Result<std::optional<Range>> next() override {
    return next_ < regions_.size() ? std::optional(regions_[next_++]) : std::nullopt;
  }

 private:
  const std::vector<Range> regions_;
  std::size_t next_ = 0;
};

}  // namespace vzv::test
