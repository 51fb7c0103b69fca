#include <unistd.h>

#include <filesystem>

#include "test/store/store_fixture.h"

using namespace vzv;
using namespace vzv::test;

TEST_CASE("a mount point is told from a directory, also where its name holds what the kernel escapes") {
  const ScratchDirectory scratch;
  for (const char* name : {"plain", "with space", "back\\slash", "tab\there", "new\nline", "octal\\040text"}) {
    const std::string path = scratch / name;
    CAPTURE(path);
    std::filesystem::create_directory(path);
    CHECK_FALSE(must(RepositoryDir::is_mounted(path)));
    const Mount mount({"-t", "tmpfs", "-o", "size=64k", "tmpfs"}, path);
    CHECK(must(RepositoryDir::is_mounted(path)));
    CHECK(must(RepositoryDir::is_mounted(path + "//")));
    CHECK_FALSE(must(RepositoryDir::is_mounted(path + "/below")));
  }
  CHECK(must(RepositoryDir::is_mounted("/proc")));
  CHECK(must(RepositoryDir::is_mounted("/")));
}

TEST_CASE("a mount point that is not absolute is refused") {
  CHECK(RepositoryDir::is_mounted("mnt").status().code() == Code::E_ARGUMENT_INVALID);
  CHECK(RepositoryDir::is_mounted("").status().code() == Code::E_ARGUMENT_INVALID);
}
