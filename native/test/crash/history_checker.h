// Whether a repository is what it may be after a crash: whole snapshots and nothing else, whatever was promised to
// last, and a place where the next backup and the next collection succeed.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <unordered_set>

#include "test/crash/crash_states.h"
#include "test/crash/guest_history.h"

namespace vzv::test {

// What is wrong with the repository in `path` at a moment of the history that wrote it; nothing where all is right.
// Backs up, and collects, there. `cache` is an empty directory, or absent.
std::optional<std::string> check_repository(const std::string& path, const std::string& cache, const Versions& versions,
                                            std::size_t moment);

struct Findings {
  std::uint64_t states = 0;            // that differ
  std::optional<std::string> mistake;  // the first that was found
};

// Checks the states that a power cut or a kill can leave behind after each event, until one is wrong.
Findings check_all_states(const std::vector<FileEvent>& events, const Versions& versions, std::uint64_t seed,
                          unsigned samples);

}  // namespace vzv::test
