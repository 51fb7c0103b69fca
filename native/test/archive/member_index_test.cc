// Which members may stand behind which.
#include "core/archive/member_index.h"

#include <doctest/doctest.h>

#include <map>

#include "test/archive/sample_members.h"
#include "test/support/usage.h"

using namespace vzv;
using namespace vzv::test;

namespace {

Member hard_link(std::string path, std::string target) {
  Member member = sample_member(MemberType::kHardLink, std::move(path));
  member.link_target = std::move(target);
  return member;
}
Member directory(std::string path) { return sample_member(MemberType::kDirectory, std::move(path)); }
Member fifo(std::string path) { return sample_member(MemberType::kFifo, std::move(path)); }

// What is wrong with the last one; nothing may be with those before.
std::string problem_of(const std::vector<Member>& members) {
  MemberIndex index;
  for (std::size_t i = 0; i + 1 < members.size(); ++i) REQUIRE(index.add(members[i]).empty());
  return index.add(members.back());
}

}  // namespace

TEST_CASE("members of every kind can stand in a tree, with directories untold of or told of first") {
  CHECK(problem_of(sample_members()).empty());
  CHECK(problem_of({fifo("a/b/c"), fifo("a/b/d"), directory("a/e"), fifo("a/e/f"), hard_link("g", "a/b/c")}).empty());
  CHECK(problem_of({fifo("f"), hard_link("g", "f"), hard_link("h", "g")}).empty());
}

TEST_CASE("nothing lies below what is no directory, however deep") {
  for (const MemberType type : {MemberType::kFile, MemberType::kSymlink, MemberType::kCharDevice, MemberType::kFifo}) {
    CHECK(problem_of({sample_member(type, "f"), fifo("f/x")}) == "lies below 'f', which is no directory");
    CHECK(problem_of({sample_member(type, "f"), directory("f/x/y/z")}) == "lies below 'f', which is no directory");
  }
  CHECK(problem_of({fifo("f"), hard_link("h", "f"), fifo("h/x")}) == "lies below 'h', which is no directory");
  CHECK(problem_of({fifo("d/f"), fifo("d")}) == "is no directory, and earlier members lie below it");
}

TEST_CASE("a directory is told of once, and before what lies in it") {
  CHECK(problem_of({directory("d"), directory("d")}) == "has the path of an earlier member");
  CHECK(problem_of({fifo("d/f"), directory("d")}) == "is a directory that comes behind what lies in it");
  CHECK(problem_of({directory("d/e/f"), directory("d/e")}) == "is a directory that comes behind what lies in it");
  CHECK(problem_of({fifo("f"), directory("")}) == "is a directory that comes behind what lies in it");
  CHECK(problem_of({fifo("d"), directory("d")}) == "is a directory, and an earlier member of its path is none");
  CHECK(problem_of({directory("d"), fifo("d")}) == "has the path of an earlier directory");
  CHECK(problem_of({fifo("f"), sample_file("f", 1)}) == "has the path of an earlier member");
}

TEST_CASE("a hard link leads to an earlier member that is no directory") {
  const std::string why = "', which is no earlier member or is a directory";
  CHECK(problem_of({hard_link("h", "f")}) == "is a hard link to 'f" + why);
  CHECK(problem_of({hard_link("h", "h")}) == "is a hard link to 'h" + why);
  CHECK(problem_of({directory("d"), hard_link("h", "d")}) == "is a hard link to 'd" + why);
  CHECK(problem_of({fifo("d/f"), hard_link("h", "d")}) == "is a hard link to 'd" + why);
  CHECK(problem_of({fifo("d/f"), hard_link("h", "f")}) == "is a hard link to 'f" + why);
}

TEST_CASE("a repetition is one of the same kind") {
  MemberIndex index;
  for (const Member& member : {directory("d"), fifo("d/f"), fifo("untold/f")}) REQUIRE(index.add(member).empty());
  CHECK(index.repeats(directory("d")));
  CHECK(index.repeats(sample_file("d/f", 1)));
  CHECK(index.repeats(hard_link("d/f", "gone")));
  CHECK_FALSE(index.repeats(fifo("d")));
  CHECK_FALSE(index.repeats(directory("d/f")));
  CHECK_FALSE(index.repeats(directory("untold")));
  CHECK_FALSE(index.repeats(fifo("f")));
}

TEST_CASE("it knows what a list of all paths knows") {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    MemberIndex index;
    std::map<std::string, bool> is_directory;  // also those untold of
    for (int i = 0; i < 2'000; ++i) {
      const Member member = random() % 3 == 0 ? directory(sample_path(random)) : fifo(sample_path(random));
      std::map<std::string, bool> above;
      bool possible = !is_directory.contains(member.path);
      for (std::size_t at = member.path.find('/'); at != std::string::npos; at = member.path.find('/', at + 1)) {
        const auto found = is_directory.find(member.path.substr(0, at));
        if (found == is_directory.end()) above[member.path.substr(0, at)] = true;
        possible = possible && (found == is_directory.end() || found->second);
      }
      if (!possible) continue;  // an index that refused takes nothing more
      REQUIRE(index.add(member).empty());
      is_directory.merge(above);
      is_directory[member.path] = member.type == MemberType::kDirectory;
    }
    for (const auto& [path, directory_there] : is_directory) {
      CHECK_FALSE(index.repeats(directory_there ? fifo(path) : directory(path)));
      CHECK_FALSE(index.add(fifo(path)).empty());
    }
  }
}

TEST_CASE("a million members cost seconds at most") {
  MemberIndex index;
  Member member = sample_file("", 0);
  const double start = thread_seconds();
  for (int i = 0; i < 1'000'000; ++i) {
    member.path = "var/spool/mail/" + std::to_string(i % 1000) + "/" + std::to_string(i);
    REQUIRE_FALSE(index.repeats(member));
    REQUIRE(index.add(member).empty());
  }
  CHECK(thread_seconds() - start < 30);  // under a sanitizer
}
