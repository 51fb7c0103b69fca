// File systems that lack one way of making a name without replacing, and reads that fail: the kernel is told to refuse
// the calls, in a child process.
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

#include "core/base/bytes.h"
#include "test/store/store_fixture.h"

using namespace vzv;
using namespace vzv::test;

namespace {

// From now on this process gets `error` for the system call.
bool refuse(long call, int error) {
  sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<__u32>(call), 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<__u32>(error)),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog filter{std::size(program), program};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

// Puts "first", then "second" under the same name, with those calls refused. Answers both codes.
std::pair<Code, Code> put_twice(const ScratchDirectory& scratch, const std::vector<std::pair<long, int>>& refused) {
  const auto dir = must(RepositoryDir::open(scratch.path()));
  int ends[2];
  REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
  const UniqueFd read_end(ends[0]), write_end(ends[1]);
  const pid_t child = ::fork();
  if (child == 0) {
    for (const auto& [call, error] : refused) {
      if (!refuse(call, error)) ::_exit(1);
    }
    const Code codes[2] = {dir->put_if_absent("a/name", as_bytes("first")).code(),
                           dir->put_if_absent("a/name", as_bytes("second")).code()};
    ::_exit(::write(write_end.get(), codes, sizeof codes) == sizeof codes ? 0 : 1);
  }
  int status = -1;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(status == 0);
  Code codes[2];
  REQUIRE(::read(read_end.get(), codes, sizeof codes) == sizeof codes);
  return {codes[0], codes[1]};
}

std::string contents(const ScratchDirectory& scratch) {
  const Bytes bytes = read_file(scratch / "a/name");
  return {bytes.begin(), bytes.end()};
}

}  // namespace

TEST_CASE("where there is no rename without replacing, hard links do") {
  for (const int error : {EINVAL, ENOSYS, EOPNOTSUPP}) {
    const ScratchDirectory scratch;
    const auto dir = must(RepositoryDir::open(scratch.path()));
    const auto [first, second] = put_twice(scratch, {{SYS_renameat2, error}});
    CHECK(first == Code::kOk);
    CHECK(second == Code::E_NAME_TAKEN);
    CHECK(contents(scratch) == "first");
    CHECK(must(dir->list("tmp"))->empty());
  }
}

TEST_CASE("where there are no hard links either, a name is looked at before it is taken") {
  const ScratchDirectory scratch;
  const auto dir = must(RepositoryDir::open(scratch.path()));
  const auto [first, second] = put_twice(scratch, {{SYS_renameat2, EINVAL}, {SYS_linkat, EPERM}});
  CHECK(first == Code::kOk);
  CHECK(second == Code::E_NAME_TAKEN);
  CHECK(contents(scratch) == "first");
  CHECK(must(dir->list("tmp"))->empty());
}

TEST_CASE("what a directory can do is found out by trying, and leaves nothing") {
  const auto probe = [](const std::vector<std::pair<long, int>>& refused) {
    const ScratchDirectory scratch;
    const auto dir = must(RepositoryDir::open(scratch.path()));
    const pid_t child = ::fork();
    if (child == 0) {
      for (const auto& [call, error] : refused) {
        if (!refuse(call, error)) ::_exit(100);
      }
      const Result<NoReplace> found = dir->no_replace();
      ::_exit(found.ok() ? static_cast<int>(*found) : 101);
    }
    int status = -1;
    REQUIRE(::waitpid(child, &status, 0) == child);
    if (WEXITSTATUS(status) < 100) CHECK(must(dir->list("tmp"))->empty());
    return WEXITSTATUS(status);
  };
  CHECK(probe({}) == static_cast<int>(NoReplace::kRename));
  CHECK(probe({{SYS_renameat2, EINVAL}}) == static_cast<int>(NoReplace::kLink));
  CHECK(probe({{SYS_renameat2, EINVAL}, {SYS_linkat, EPERM}}) == static_cast<int>(NoReplace::kNone));
  CHECK(probe({{SYS_renameat2, ENOSYS}, {SYS_linkat, EOPNOTSUPP}}) == static_cast<int>(NoReplace::kNone));
  CHECK(probe({{SYS_renameat2, EIO}}) == 101);
}

TEST_CASE("a file or directory that cannot be made durable is no success") {
  const ScratchDirectory scratch;
  CHECK(put_twice(scratch, {{SYS_fsync, EIO}}).first == Code::E_STORAGE_IO);
  CHECK(put_twice(scratch, {{SYS_fsync, ENOSPC}}).first == Code::E_NO_SPACE);
  CHECK(put_twice(scratch, {{SYS_renameat2, EIO}}).first == Code::E_STORAGE_IO);
  CHECK(put_twice(scratch, {{SYS_renameat2, EPERM}}).first == Code::E_PERMISSION);
}

TEST_CASE("a segment that the storage cannot read costs that segment, not the repository") {
  Store store;
  store.put_all({random_chunk(1)});
  std::filesystem::remove_all(store.cache_path());
  const pid_t child = ::fork();
  if (child == 0) {
    if (!refuse(SYS_pread64, EIO)) ::_exit(1);
    const auto index = Index::open(store.dir(), store.cache_path());
    if (!index.ok()) ::_exit(2);
    const std::vector<Status> damaged = (*index)->damaged_segments();
    ::_exit(damaged.size() == 1 && damaged[0].code() == Code::E_SEGMENT_DAMAGED ? 0 : 3);
  }
  int status = -1;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(status == 0);
  // A later look takes it in.
  CHECK(store.index()->find(random_chunk(1).id, ChunkType::kData));
}
