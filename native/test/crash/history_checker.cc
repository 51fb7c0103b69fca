#include "test/crash/history_checker.h"

#include <algorithm>
#include <filesystem>

#include "core/store/store_verify.h"

namespace vzv::test {

namespace {

constexpr std::uint64_t kFileMaxBytes = 10'000'000;

std::string show(const std::optional<Bytes>& bytes) {
  return bytes ? std::to_string(bytes->size()) + " bytes" : "nothing";
}

// What was promised last, or one of those that were under way or failed since.
bool is_allowed(const std::vector<Version>& versions, std::size_t moment, const std::optional<Bytes>& found) {
  std::optional<Bytes> promised;
  std::size_t since = 0;
  for (std::size_t n = 0; n < versions.size(); ++n) {
    if (versions[n].done > moment) continue;
    promised = versions[n].bytes;
    since = n + 1;
  }
  if (found == promised) return true;
  for (std::size_t n = since; n < versions.size(); ++n) {
    if (versions[n].begun <= moment && found == versions[n].bytes) return true;
  }
  return false;
}

Status check_names(RepositoryDir& dir, const Versions& versions, std::size_t moment) {
  for (const auto& [name, of_name] : versions) {
    const auto found = dir.read(name, kFileMaxBytes);
    if (!found.ok()) return found.status();
    if (!is_allowed(of_name, moment, *found)) {
      return {Code::E_SNAPSHOT_DAMAGED, name + " is " + show(*found) + ", which it never was to be"};
    }
  }
  return {};
}

Status check_files(RepositoryDir& dir) {
  const CancelToken cancel;
  const auto report = verify_packs(dir, {.decode = true}, nullptr, cancel);
  if (!report.ok()) return report.status();
  return report->damages.empty() ? Status() : report->damages.front();
}

Status check(GuestHistory& history, const Versions& versions, std::size_t moment) {
  VZV_TRY(check_names(*history.dir(), versions, moment));
  VZV_TRY(check_files(*history.dir()));
  VZV_TRY(history.check_snapshots());
  // Some of its chunks are in the repository, perhaps in packs that no snapshot refers to; some are not.
  const Contents next{{0, 1}, {1, 21}, {2, 40}, {256, 5}, {300, 90}, {519, 91}};
  VZV_TRY(history.back_up("8", next));
  VZV_TRY(history.check_snapshots());
  VZV_TRY(history.collect());
  VZV_TRY(history.back_up("9", next));
  VZV_TRY(history.check_snapshots());
  VZV_TRY(check_files(*history.dir()));
  // Nothing that there was has changed by that.
  VZV_TRY(check_names(*history.dir(), versions, moment));
  return check_names(*history.dir(), history.versions(), 0);
}

}  // namespace

std::optional<std::string> check_repository(const std::string& path, const std::string& cache, const Versions& versions,
                                            std::size_t moment) {
  GuestHistory history(path, cache, [] { return std::size_t{0}; });
  const Status status = check(history, versions, moment);
  if (status.ok()) return std::nullopt;
  return "after event " + std::to_string(moment) + ": " + status.message();
}

Findings check_all_states(const std::vector<FileEvent>& events, const Versions& versions, std::uint64_t seed,
                          unsigned samples) {
  const NoSync no_sync;
  const ScratchDirectory scratch;
  std::mt19937_64 random(seed);
  Findings findings;
  CrashStates states;
  // A state that was right with fewer promises may be wrong with more.
  std::unordered_set<Id, IdHash> seen;
  std::size_t promises = 0;
  for (std::size_t moment = 0; moment <= events.size() && !findings.mistake; ++moment) {
    if (moment > 0) states.apply(events[moment - 1]);
    std::size_t promised = 0;
    for (const auto& [name, of_name] : versions) {
      for (const Version& version : of_name) promised += (version.begun <= moment) + (version.done <= moment);
    }
    if (promised != promises) seen.clear();
    promises = promised;
    states.for_each(random, samples, [&](const FileTree& tree) {
      if (findings.mistake || !seen.insert(digest_of(tree)).second) return;
      const std::string path = scratch / std::to_string(findings.states++);
      std::filesystem::create_directories(path + "/repository");
      build_tree(tree, path + "/repository");
      findings.mistake = check_repository(path + "/repository", path + "/cache", versions, moment);
      std::filesystem::remove_all(path);
    });
  }
  return findings;
}

}  // namespace vzv::test
