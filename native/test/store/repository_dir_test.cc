#include "core/store/repository_dir.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <thread>

#include "core/base/bytes.h"
#include "test/store/store_fixture.h"

using namespace vzv;
using namespace vzv::test;

namespace {

std::shared_ptr<RepositoryDir> open(const ScratchDirectory& scratch) {
  return must(RepositoryDir::open(scratch.path()));
}

Bytes text(std::string_view text) {
  const ByteSpan bytes = as_bytes(text);
  return {bytes.begin(), bytes.end()};
}

std::size_t files_in(const std::string& path) {
  if (!std::filesystem::exists(path)) return 0;
  std::size_t count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(path)) ++count;
  return count;
}

}  // namespace

TEST_CASE("a path that is absent, or a file, is E_PATH_MISSING") {
  const ScratchDirectory scratch;
  CHECK(RepositoryDir::open(scratch / "absent").status().code() == Code::E_PATH_MISSING);
  write_file(scratch / "file", text("x"));
  CHECK(RepositoryDir::open(scratch / "file").status().code() == Code::E_PATH_MISSING);
}

TEST_CASE("names that could leave the directory are refused") {
  for (const char* name : {"", "/", "/etc/passwd", "..", "../x", "a/..", "a/../b", "a//b", "a/", "./a", "a/.", "."}) {
    CAPTURE(name);
    CHECK(check_name(name).code() == Code::E_ARGUMENT_INVALID);
  }
  CHECK(check_name(std::string("a\0b", 3)).code() == Code::E_ARGUMENT_INVALID);
  CHECK(check_name(std::string(256, 'a')).code() == Code::E_ARGUMENT_INVALID);
  CHECK(check_name(std::string(255, 'a')).ok());
  CHECK(check_name("snapshots/qemu/100/20261122T041714Z/snapshot").ok());
  CHECK(check_name("...").ok());

  const ScratchDirectory scratch;
  const auto dir = open(scratch);
  CHECK(dir->read("../x", 10).status().code() == Code::E_ARGUMENT_INVALID);
  CHECK(dir->status("/etc").status().code() == Code::E_ARGUMENT_INVALID);
  CHECK(dir->list("..").status().code() == Code::E_ARGUMENT_INVALID);
  CHECK(dir->make_directories("../x").code() == Code::E_ARGUMENT_INVALID);
  CHECK(dir->put_if_absent("../x", {}).code() == Code::E_ARGUMENT_INVALID);
  CHECK(dir->replace("/tmp/x", {}).code() == Code::E_ARGUMENT_INVALID);
  CHECK(dir->remove("..").status().code() == Code::E_ARGUMENT_INVALID);
  CHECK(dir->open_read("/etc/passwd").status().code() == Code::E_ARGUMENT_INVALID);
}

TEST_CASE("what is absent is null, not an error") {
  const ScratchDirectory scratch;
  const auto dir = open(scratch);
  CHECK(must(dir->read("absent", 10)) == std::nullopt);
  CHECK_FALSE(must(dir->status("absent/too")));
  CHECK_FALSE(must(dir->list("absent")));
  CHECK_FALSE(must(dir->remove("absent")));
  CHECK_FALSE(must(dir->open_read("absent")).valid());
  write_file(scratch / "file", text("x"));
  CHECK(must(dir->read("file/below", 10)) == std::nullopt);
}

TEST_CASE("a file is put once, whole, with the directories above it") {
  const ScratchDirectory scratch;
  const auto dir = open(scratch);
  must(dir->put_if_absent("a/b/c", text("first")));
  CHECK(dir->put_if_absent("a/b/c", text("second")).code() == Code::E_NAME_TAKEN);
  CHECK(must(dir->read("a/b/c", 5)) == text("first"));
  CHECK(files_in(scratch / "tmp") == 0);
  must(dir->put_if_absent("empty", {}));
  CHECK(must(dir->read("empty", 0)) == Bytes{});
}

TEST_CASE("of many that put one name at once, one succeeds") {
  const ScratchDirectory scratch;
  const auto dir = open(scratch);
  std::atomic<int> put{0}, taken{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&, i] {
      const Status status = dir->put_if_absent("new/name", Bytes(1000, static_cast<std::uint8_t>(i)));
      if (status.ok()) ++put;
      if (status.code() == Code::E_NAME_TAKEN) ++taken;
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(put == 1);
  CHECK(taken == 7);
  const Bytes bytes = *must(dir->read("new/name", 1000));
  CHECK(bytes == Bytes(1000, bytes[0]));
  CHECK(files_in(scratch / "tmp") == 0);
}

TEST_CASE("a file is replaced as a whole") {
  const ScratchDirectory scratch;
  const auto dir = open(scratch);
  must(dir->replace("notes", text("long first notes")));
  must(dir->replace("notes", text("short")));
  CHECK(must(dir->read("notes", 100)) == text("short"));
}

TEST_CASE("a file longer than allowed, or no file at all, is not read") {
  const ScratchDirectory scratch;
  const auto dir = open(scratch);
  must(dir->put_if_absent("five", text("12345")));
  CHECK(dir->read("five", 4).status().code() == Code::E_ARGUMENT_INVALID);
  must(dir->make_directories("directory"));
  CHECK(dir->read("directory", 100).status().code() == Code::E_ARGUMENT_INVALID);
  REQUIRE(::mkfifo((scratch / "fifo").c_str(), 0600) == 0);
  CHECK(dir->read("fifo", 100).status().code() == Code::E_ARGUMENT_INVALID);  // and does not wait for a writer
}

TEST_CASE("status and list tell kinds, sizes and times") {
  const ScratchDirectory scratch;
  const auto dir = open(scratch);
  must(dir->put_if_absent("b", text("123")));
  must(dir->make_directories("c"));
  REQUIRE(::symlink("b", (scratch / "a").c_str()) == 0);

  const auto entries = *must(dir->list(""));
  REQUIRE(entries.size() == 4);
  CHECK(entries[0].name == "a");
  CHECK(entries[0].kind == FileKind::kOther);
  CHECK(entries[1].name == "b");
  CHECK(entries[1].kind == FileKind::kFile);
  CHECK(entries[2].name == "c");
  CHECK(entries[2].kind == FileKind::kDirectory);
  CHECK(entries[3].name == "tmp");

  const FileStatus status = *must(dir->status("b"));
  CHECK(status.kind == FileKind::kFile);
  CHECK(status.size_bytes == 3);
  CHECK(status.modified_ms > 1'500'000'000'000);
  CHECK(must(dir->status(""))->kind == FileKind::kDirectory);
  CHECK(dir->list("b").ok());
  CHECK_FALSE(must(dir->list("b")));  // a file is no directory
}

TEST_CASE("files and empty directories are removed, full ones are not") {
  const ScratchDirectory scratch;
  const auto dir = open(scratch);
  must(dir->put_if_absent("d/file", text("x")));
  CHECK(dir->remove("d").status().code() == Code::E_STORAGE_IO);
  CHECK(must(dir->remove("d/file")));
  CHECK(must(dir->remove("d")));
  CHECK_FALSE(must(dir->remove("d")));
}

TEST_CASE("directories are made once and may be there already") {
  const ScratchDirectory scratch;
  const auto dir = open(scratch);
  must(dir->make_directories("a/b/c"));
  must(dir->make_directories("a/b/c"));
  must(dir->make_directories("a/b/d"));
  CHECK(std::filesystem::is_directory(scratch / "a/b/d"));
  std::filesystem::remove_all(scratch / "a");  // by another node
  must(dir->put_if_absent("a/b/c/file", text("x")));
  must(dir->put_if_absent("file", {}));
  CHECK(dir->make_directories("file/x").code() != Code::kOk);
}

TEST_CASE("a new file that is not published leaves nothing") {
  const ScratchDirectory scratch;
  const auto dir = open(scratch);
  {
    const auto file = must(dir->create());
    must(file->append(text("half")));
    CHECK(file->bytes_written() == 4);
    CHECK(files_in(scratch / "tmp") == 1);
  }
  CHECK(files_in(scratch / "tmp") == 0);
  {
    must(dir->put_if_absent("taken", text("x")));
    const auto file = must(dir->create());
    CHECK(file->publish("taken").code() == Code::E_NAME_TAKEN);
    must(file->publish("free"));  // it is still whole
  }
  CHECK(must(dir->read("free", 10)) == Bytes{});
  CHECK(files_in(scratch / "tmp") == 0);
}

TEST_CASE("the directory that was opened is used, whatever takes its path later") {
  const ScratchDirectory scratch;
  std::filesystem::create_directory(scratch / "repository");
  const auto dir = must(RepositoryDir::open(scratch / "repository"));
  std::filesystem::rename(scratch / "repository", scratch / "moved");
  std::filesystem::create_directory(scratch / "repository");
  must(dir->put_if_absent("config", text("x")));
  CHECK(std::filesystem::exists(scratch / "moved/config"));
  CHECK(files_in(scratch / "repository") == 0);
}

TEST_CASE("space adds up") {
  const ScratchDirectory scratch;
  const Space space = must(open(scratch)->space());
  CHECK(space.total_bytes > 0);
  CHECK(space.used_bytes <= space.total_bytes);
  CHECK(space.available_bytes <= space.total_bytes - space.used_bytes);
}

TEST_CASE("a session's unfinished files begin with its name") {
  const ScratchDirectory scratch;
  const auto dir = must(RepositoryDir::open(scratch.path()));
  const auto own = must(dir->for_session("0123"));
  const auto file = must(own->create());
  const auto names = must(dir->list("tmp"));
  REQUIRE(names->size() == 1);
  CHECK(names->front().name.starts_with("0123-"));
  must(own->put_if_absent("name", Bytes(3)));
  CHECK(dir->put_if_absent("name", Bytes(3)).code() == Code::E_NAME_TAKEN);
}
