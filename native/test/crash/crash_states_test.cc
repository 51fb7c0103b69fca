// The states themselves, on sequences that are small enough to know them all.
#include <set>

#include "core/base/bytes.h"
#include "test/crash/crash_states.h"
#include "test/store/store_fixture.h"

using namespace vzv;
using namespace vzv::test;

namespace {

// Names with contents, as one line each.
std::set<std::string> states_after(const std::vector<FileEvent>& events) {
  CrashStates states;
  for (const FileEvent& event : events) states.apply(event);
  std::mt19937_64 random(1);
  std::set<std::string> found;
  states.for_each(random, 20, [&](const FileTree& tree) {
    std::string line;
    for (const auto& [name, bytes] : tree) {
      line += (line.empty() ? "" : " ") + name + (bytes ? "=" : "/");
      if (!bytes) continue;
      for (const std::uint8_t byte : *bytes) line += byte == 0 ? '0' : static_cast<char>(byte);
    }
    found.insert(line);
  });
  return found;
}

FileEvent written(std::uint64_t file, std::string_view text) {
  const ByteSpan bytes = as_bytes(text);
  return {FileCall::kWrite, {}, {}, file, Bytes(bytes.begin(), bytes.end())};
}

using Lines = std::set<std::string>;
const FileEvent created{FileCall::kCreate, "a", {}, 1};
const FileEvent synced{FileCall::kSyncFile, "a", {}, 1};
const FileEvent renamed{FileCall::kRename, "a", "b"};
const FileEvent root_synced{FileCall::kSyncDirectory, ""};

}  // namespace

TEST_CASE("bytes that were not synced are there, missing or zero") {
  const Lines found = states_after({created, written(1, "xyz"), root_synced});
  for (const char* line : {"a=", "a=xyz", "a=000"}) CHECK(found.contains(line));
  CHECK_FALSE(found.contains(""));
  CHECK(states_after({created, written(1, "xyz"), synced, root_synced}) == Lines{"a=xyz"});
}

TEST_CASE("names that were not synced may be lost, and bytes do not bring them") {
  CHECK(states_after({created, written(1, "x"), synced}) == Lines{"", "a=x"});
}

TEST_CASE("a rename in one directory is whole: the old name or the new one") {
  const std::vector<FileEvent> before{created, written(1, "x"), synced, root_synced};
  std::vector<FileEvent> events = before;
  events.push_back(renamed);
  CHECK(states_after(events) == Lines{"a=x", "b=x"});
  events.push_back(root_synced);
  CHECK(states_after(events) == Lines{"b=x"});
}

TEST_CASE("a rename between directories may have happened in one of them only") {
  const FileEvent directory{FileCall::kMakeDirectory, "d"};
  const FileEvent moved{FileCall::kRename, "a", "d/a"};
  std::vector<FileEvent> events{directory, created, root_synced, moved};
  CHECK(states_after(events) == Lines{"a= d/", "d/ d/a=", "a= d/ d/a=", "d/"});
  events.push_back({FileCall::kSyncDirectory, "d"});
  CHECK(states_after(events) == Lines{"d/ d/a=", "a= d/ d/a="});
}

TEST_CASE("a file that is taken away and not synced may come back") {
  const FileEvent removed{FileCall::kUnlink, "a"};
  CHECK(states_after({created, root_synced, removed}) == Lines{"", "a="});
  CHECK(states_after({created, root_synced, removed, root_synced}) == Lines{""});
}
