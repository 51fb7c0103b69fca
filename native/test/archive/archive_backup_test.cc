// Backing up archives: what is the same costs nothing, what fails is told, whatever the size memory is bounded.
#include "core/pipeline/archive_backup.h"

#include <doctest/doctest.h>

#include <chrono>

#include "core/base/limits.h"
#include "test/archive/archive_fixture.h"
#include "test/archive/tar_builder.h"
#include "test/support/usage.h"

using namespace vzv;
using namespace vzv::test;

namespace {

std::string pattern(std::size_t length, std::uint64_t seed) {
  const Bytes bytes = random_pattern(length, seed);
  return {bytes.begin(), bytes.end()};
}

BackedUp nothing() { return {.archive = ArchiveMap(), .counters = {}, .added_bytes = 0}; }

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

TEST_CASE("an empty archive, and one of nothing but names") {
  Store store;
  const ArchiveMap empty = must_back_up(store, TarBuilder().end().bytes());
  CHECK(empty == ArchiveMap{});
  const ArchiveMap one = must_back_up(store, TarBuilder().member({.type = '5', .name = "./"}).end().bytes());
  CHECK(one.members == 1);
  CHECK(one.data == StreamMap{});
  CHECK(one.catalogue.size_bytes > 0);
}

TEST_CASE("large files are found again wherever they moved") {
  Store store;
  const std::string first = pattern(3'000'000, 1);
  const std::string second = pattern(1'000'000, 2);
  BackedUp before = nothing();
  must_back_up(store, TarBuilder().member({.name = "a"}, first).member({.name = "b"}, second).end().bytes(), before);
  CHECK(before.counters.new_bytes == 4'000'000);
  BackedUp after = nothing();
  TarBuilder moved;
  moved.member({.name = "x"}, pattern(1'000, 3))
      .member({.name = "b2", .mtime = 5}, second)
      .member({.name = "y"}, pattern(2'000, 4))
      .member({.name = "a2", .uid = 9}, first)
      .end();
  must_back_up(store, moved.bytes(), after);
  CHECK(after.counters.reused_bytes == 4'000'000);
  CHECK(after.counters.new_bytes == 3'000);
  CHECK(after.added_bytes < 10'000);
}

TEST_CASE("a changed name or time costs no data, and the same archive nothing at all") {
  Store store;
  const auto tree = [](std::uint64_t mtime) {
    TarBuilder tar;
    for (int i = 0; i < 200; ++i) {
      tar.member({.name = "file-" + std::to_string(i), .mtime = i == 100 ? mtime : 1},
                 pattern(20'000, static_cast<std::uint64_t>(i)));
    }
    return tar.end().bytes();
  };
  BackedUp first = nothing();
  const ArchiveMap archive = must_back_up(store, tree(1), first);
  BackedUp same = nothing();
  CHECK(must_back_up(store, tree(1), same) == archive);
  CHECK(same.added_bytes == 0);
  BackedUp touched = nothing();
  CHECK(must_back_up(store, tree(2), touched).data == archive.data);
  CHECK(touched.counters.new_bytes == 0);
  CHECK(touched.added_bytes < 10'000);
}

TEST_CASE("zeroes are neither stored nor counted as new") {
  Store store;
  BackedUp backed_up = nothing();
  TarBuilder tar;
  tar.member({.name = "z"}, std::string(10 << 20, '\0')).member({.name = "x"}, "x").end();
  const ArchiveMap archive = must_back_up(store, tar.bytes(), backed_up);
  CHECK(backed_up.counters.zero_bytes == 10 << 20);
  CHECK(backed_up.added_bytes < 3'000);
  read_archive(store, archive, [](const Member& member, const Bytes& stored) {
    if (member.path == "z") CHECK(stored == Bytes(10 << 20, 0));
  });
}

TEST_CASE("what is no tar stream fails with the reason, and writes no snapshot's worth of anything") {
  Store store;
  for (const auto& [bytes, why] : std::vector<std::pair<Bytes, std::string>>{
           {Bytes(512, 'x'), "checksum"},
           {{}, "cut short at byte 0"},
           {TarBuilder().member({}, pattern(3'000'000, 1)).bytes(), "cut short at byte 3000832"},
           {TarBuilder().member({}, pattern(3'000'000, 1)).member({.name = "../x"}).end().bytes(), "'../x'"}}) {
    FedPipe pipe(bytes);
    BackedUp backed_up = nothing();
    back_up(store, pipe.fd(), backed_up);
    REQUIRE(backed_up.archive.status().code() == Code::E_ARCHIVE_INVALID);
    CHECK_MESSAGE(backed_up.archive.status().message().find(why) != std::string::npos,
                  backed_up.archive.status().message());
  }
  CHECK(store.unfinished().empty());
}

TEST_CASE("a member that could not be unpacked behind those before it is refused by its name") {
  Store store;
  const auto refusal = [&store](const TarBuilder& tar) {
    FedPipe pipe(tar.bytes());
    BackedUp backed_up = nothing();
    back_up(store, pipe.fd(), backed_up);
    CHECK(backed_up.archive.status().code() == Code::E_ARCHIVE_INVALID);
    return backed_up.archive.status().message();
  };
  CHECK(refusal(TarBuilder().member({.name = "./f"}, "x").member({.name = "./f/below"}).end()) ==
        "byte 1024 of the tar stream, member './f/below': it lies below 'f', which is no directory");
  CHECK(refusal(TarBuilder().member({.type = '2', .name = "l", .link_name = "/"}).member({.name = "l/a/b"}).end())
            .find("'l/a/b': it lies below 'l', which is no directory") != std::string::npos);
  CHECK(refusal(TarBuilder().member({.type = '1', .name = "h", .link_name = "later"}).member({.name = "later"}).end())
            .find("'h': it is a hard link to 'later', which is no earlier member or is a directory") !=
        std::string::npos);
  CHECK(refusal(TarBuilder().member({.type = '5', .name = "d"}).member({.name = "d"}).end())
            .find("'d': it has the path of an earlier directory") != std::string::npos);
}

TEST_CASE("a member that repeats an earlier one is passed over with its data") {
  Store store;
  TarBuilder tar;
  tar.member({.type = '5', .name = "./d/", .mode = 0700})
      .member({.name = "./d/f"}, "first")
      .member({.type = '5', .name = "./d/", .mode = 0755})
      .member({.name = "./d/f"}, pattern(700'000, 1))
      .member({.type = '1', .name = "./d/f", .link_name = "./d/f"})
      .member({.type = '1', .name = "./d/f", .link_name = "./gone"})
      .member({.name = "./d/g"}, "other")
      .end();
  BackedUp backed_up = nothing();
  const ArchiveMap archive = must_back_up(store, tar.bytes(), backed_up);
  CHECK(archive.members == 3);
  CHECK(archive.data.size_bytes == 10);
  CHECK(backed_up.counters.members == 3);
  read_archive(store, archive, [](const Member& member, const Bytes& stored) {
    if (member.path == "d") CHECK(member.mode == 0700);
    if (member.path == "d/f") CHECK(std::string(stored.begin(), stored.end()) == "first");
    if (member.path == "d/g") CHECK(std::string(stored.begin(), stored.end()) == "other");
  });
}

TEST_CASE("a stream that stands still is waited for, until the task is stopped") {
  Store store;
  int ends[2];
  REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
  const UniqueFd read_end(ends[0]);
  const UniqueFd write_end(ends[1]);
  CancelToken cancel;
  ArchiveCounters counters;
  auto writer = store.writer();
  const auto start = std::chrono::steady_clock::now();
  std::thread stopper([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(700));
    cancel.cancel();
  });
  const auto archive = backup_archive(read_end.get(), *writer, {}, counters, cancel);
  stopper.join();
  CHECK(archive.status().code() == Code::E_CANCELLED);
  CHECK(seconds_since(start) > 0.6);
  CHECK(seconds_since(start) < 1.5);
}

TEST_CASE("the stream is read no faster than it may be, and stops at once also then") {
  Store store;
  const Bytes tar = TarBuilder().member({}, pattern(2'000'000, 1)).end().bytes();
  {
    FedPipe pipe(tar);
    BackedUp backed_up = nothing();
    const auto start = std::chrono::steady_clock::now();
    RateLimiter limiter(2'000'000, start);
    back_up(store, pipe.fd(), backed_up, {.limiter = &limiter});
    must(backed_up.archive);
    CHECK(seconds_since(start) > 0.7);
    CHECK(seconds_since(start) < 3);
  }
  FedPipe pipe(tar);
  CancelToken cancel;
  ArchiveCounters counters;
  auto writer = store.writer();
  const auto start = std::chrono::steady_clock::now();
  std::thread stopper([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    cancel.cancel();
  });
  RateLimiter limiter(10'000, start);
  const auto archive = backup_archive(pipe.fd(), *writer, {.limiter = &limiter}, counters, cancel);
  stopper.join();
  CHECK(archive.status().code() == Code::E_CANCELLED);
  CHECK(seconds_since(start) < 1.5);
}

TEST_CASE("a million members in one directory, and gigabytes, in bounded memory") {
  Store store;
  int ends[2];
  REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
  UniqueFd read_end(ends[0]);
  const std::uint64_t before = peak_memory_kib();
  constexpr int kMembers = 1'000'000;
  std::thread feeder([fd = ends[1]] {
    UniqueFd write_end(fd);
    std::string block;
    for (int i = 0; i < kMembers; ++i) {
      block += TarBuilder::header({.name = "maildir/" + std::to_string(i), .mtime = static_cast<std::uint64_t>(i)});
      if (block.size() < 500'000 && i + 1 < kMembers) continue;
      REQUIRE(write_all(write_end.get(), {reinterpret_cast<const std::uint8_t*>(block.data()), block.size()}) == 0);
      block.clear();
    }
    const std::string large = TarBuilder::header({.name = "large", .size_bytes = 2ULL << 30});
    REQUIRE(write_all(write_end.get(), {reinterpret_cast<const std::uint8_t*>(large.data()), large.size()}) == 0);
    const Bytes bytes(1 << 20, 'v');
    for (int i = 0; i < 2048; ++i) REQUIRE(write_all(write_end.get(), bytes) == 0);
    REQUIRE(write_all(write_end.get(), Bytes(1024, 0)) == 0);
  });
  BackedUp backed_up = nothing();
  back_up(store, read_end.get(), backed_up);
  feeder.join();
  const ArchiveMap archive = must(backed_up.archive);
  CHECK(archive.members == kMembers + 1);
  CHECK(archive.catalogue.size_bytes < 40'000'000);
  CHECK(backed_up.added_bytes < 20'000'000);
  CHECK(peak_memory_kib() < before + 150'000 + kSanitizerKib);
}
