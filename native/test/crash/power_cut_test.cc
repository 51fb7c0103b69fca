// The power fails after each file call of a repository's life: whatever POSIX allows to be left is a repository that
// has kept its promises.
#include <algorithm>
#include <filesystem>

#include "test/crash/history_checker.h"
#include "test/crash/seed.h"

using namespace vzv;
using namespace vzv::test;

TEST_CASE("after a power cut at any call, what was committed is whole and the next backup and collection succeed") {
  const std::uint64_t seed = seed_of_run();
  MESSAGE("seed ", seed);
  const ScratchDirectory scratch;
  std::filesystem::create_directory(scratch / "repository");
  std::vector<FileEvent> events;
  Versions versions;
  {
    FileRecorder recorder(scratch / "repository");
    GuestHistory history(scratch / "repository", scratch / "cache", [&] { return recorder.size(); });
    must(history.run_all());
    events = recorder.events();
    versions = history.versions();
  }
  // What the history is there for.
  const auto count = [&](FileCall call, std::string_view prefix) {
    return std::count_if(events.begin(), events.end(), [&](const FileEvent& event) {
      return event.call == call && (event.name.starts_with(prefix) || event.to.starts_with(prefix));
    });
  };
  CHECK(count(FileCall::kRename, "packs/") > 10);
  CHECK(count(FileCall::kRename, "index/") > 5);
  CHECK(count(FileCall::kUnlink, "packs/") > 2);
  CHECK(count(FileCall::kUnlink, "index/") > 2);
  CHECK(count(FileCall::kUnlink, "snapshots/") >= 2);
  const Findings findings = check_all_states(events, versions, seed, 4);
  MESSAGE(events.size(), " calls, ", findings.states, " states");
  CHECK_MESSAGE(!findings.mistake, findings.mistake.value_or(""));
}
