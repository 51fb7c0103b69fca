#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <string>

#include "core/base/file.h"
#include "fuse/log.h"

using vzv::Code;
using vzv::Status;
using vzv::fuse::Log;

namespace {

struct Pipe {
  Pipe() {
    std::array<int, 2> ends{};
    REQUIRE(pipe2(ends.data(), O_CLOEXEC) == 0);
    out.reset(ends[0]);
    in.reset(ends[1]);
    fcntl(out.get(), F_SETFL, O_NONBLOCK);
  }
  std::string take() {
    std::string text(1 << 20, '\0');
    const ssize_t got = read(out.get(), text.data(), text.size());
    text.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    return text;
  }
  vzv::UniqueFd out;
  vzv::UniqueFd in;
};

}  // namespace

TEST_CASE("a line has the code and no line break of its own") {
  Pipe pipe;
  Log log(pipe.in.get());
  log.error(Status(Code::E_CHUNK_DAMAGED, "chunk ab\nc"));
  log.info("x");
  CHECK(pipe.take() == "vzvault-fuse: error E_CHUNK_DAMAGED: chunk ab c\nvzvault-fuse: info: x\n");
}

TEST_CASE("a fault that repeats is said once a minute") {
  Pipe pipe;
  Log log(pipe.in.get());
  const Log::Clock::time_point start{};
  const Status status(Code::E_CHUNK_DAMAGED, "damaged");
  log.fault("a", "first", status, start);
  log.fault("a", "again", status, start + std::chrono::seconds(59));
  log.fault("b", "other", status, start + std::chrono::seconds(59));
  log.fault("a", "later", status, start + std::chrono::seconds(60));
  CHECK(pipe.take() ==
        "vzvault-fuse: error E_CHUNK_DAMAGED: first: damaged\n"
        "vzvault-fuse: error E_CHUNK_DAMAGED: other: damaged\n"
        "vzvault-fuse: error E_CHUNK_DAMAGED: later: damaged\n");
}

TEST_CASE("a pipe that nobody reads drops lines instead of waiting") {
  Pipe pipe;
  Log log(pipe.in.get());
  for (int i = 0; i < 10'000; ++i) log.info(std::string(500, 'x'));
  CHECK(log.dropped() > 0);
  CHECK(pipe.take().size() > 4096);
}
