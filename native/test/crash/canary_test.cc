// Programs with one mistake in them: what checks the right one must find each.
#include <filesystem>

#include "test/crash/history_checker.h"
#include "test/crash/seed.h"

using namespace vzv;
using namespace vzv::test;

namespace {

Findings findings_with(Mistake mistake) {
  const std::uint64_t seed = seed_of_run();
  MESSAGE("seed ", seed);
  const ScratchDirectory scratch;
  std::filesystem::create_directory(scratch / "repository");
  FileRecorder recorder(scratch / "repository", std::move(mistake));
  GuestHistory history(scratch / "repository", scratch / "cache", [&] { return recorder.size(); });
  must(history.run_all());
  const std::vector<FileEvent> events = recorder.events();
  return check_all_states(events, history.versions(), seed, 1);
}

Mistake without(FileCall call, const std::string& prefix) {
  return {.without_sync = [call, prefix](const FileEvent& event) {
    return event.call == call && event.name.starts_with(prefix);
  }};
}

void check_found(Mistake mistake) {
  const Findings findings = findings_with(std::move(mistake));
  REQUIRE(findings.mistake);
  MESSAGE("found in state ", findings.states, ": ", *findings.mistake);
}

}  // namespace

TEST_CASE("finds that files are not synced") { check_found(without(FileCall::kSyncFile, "tmp/")); }

TEST_CASE("finds that packs and segments are not synced, only documents") {
  check_found(without(FileCall::kSyncFile, "tmp/" + std::string(32, 'a')));
}

TEST_CASE("finds that files are synced only after they have their names") { check_found({.sync_after_rename = true}); }

TEST_CASE("finds that the directories of packs are not synced") {
  check_found(without(FileCall::kSyncDirectory, "packs/"));
}

TEST_CASE("finds that the directory above those of packs is not synced") {
  check_found({.without_sync = [](const FileEvent& event) {
    return event.call == FileCall::kSyncDirectory && event.name == "packs";
  }});
}

TEST_CASE("finds that the directory of segments is not synced") {
  check_found(without(FileCall::kSyncDirectory, "index"));
}

TEST_CASE("finds that the directory of a snapshot is not synced") {
  check_found(without(FileCall::kSyncDirectory, "snapshots/qemu/100/"));
}

TEST_CASE("finds that the directories above snapshots are not synced") {
  check_found({.without_sync = [](const FileEvent& event) {
    return event.call == FileCall::kSyncDirectory && event.name == "snapshots/qemu/100";
  }});
}
