// Each file call of a repository's life fails once, with each error and in each way: the operation fails or does
// without, keeps what it promised, and the next one succeeds; also when the power fails on top of it.
#include <cerrno>
#include <filesystem>

#include "test/crash/history_checker.h"

using namespace vzv;
using namespace vzv::test;

namespace {

struct Outcome {
  bool came_to_it;
  std::optional<std::string> mistake;
};

Outcome run_with(const Failure& failure) {
  const ScratchDirectory scratch;
  const std::string repository = scratch / "repository";
  std::filesystem::create_directory(repository);
  Status status;
  CrashStates states;
  Versions versions;
  std::size_t end;
  Outcome outcome{};
  {
    FileRecorder recorder(repository);
    recorder.fail(failure);
    GuestHistory history(repository, scratch / "cache", [&] { return recorder.size(); });
    status = history.run_all();
    end = recorder.size();
    for (const FileEvent& event : recorder.events()) states.apply(event);
    versions = history.versions();
    outcome.came_to_it = recorder.failed().has_value();
  }
  const NoSync no_sync;
  if (!status.ok() && (status.code() == Code::E_INTERNAL || status.message().empty())) {
    outcome.mistake = "an error that helps nobody: " + status.message();
    return outcome;
  }
  const std::string after = scratch / "after";
  std::filesystem::create_directory(after);
  build_tree(states.all_lost(), after);
  outcome.mistake = check_repository(after, scratch / "cache2", versions, end);
  // The index cache of the run that failed serves the next one.
  if (!outcome.mistake) outcome.mistake = check_repository(repository, scratch / "cache", versions, end);
  return outcome;
}

void fail_each_call(int error, Failure::How how) {
  std::uint64_t calls = 0;
  for (bool came_to_it = true; came_to_it; ++calls) {
    const Outcome outcome = run_with({calls, error, how});
    came_to_it = outcome.came_to_it;
    REQUIRE_MESSAGE(!outcome.mistake, "call ", calls, ", error ", error, ": ", outcome.mistake.value_or(""));
  }
  CHECK(calls > 200);
}

}  // namespace

TEST_CASE("any call may fail with EIO") { fail_each_call(EIO, Failure::How::kRefused); }

TEST_CASE("any call may fail for want of space, a write after half of it") {
  fail_each_call(ENOSPC, Failure::How::kTornWrite);
}

TEST_CASE("any call may fail because a server forgot the file") { fail_each_call(ESTALE, Failure::How::kRefused); }

TEST_CASE("any call may be done and its answer be an error") { fail_each_call(EIO, Failure::How::kDone); }
