// Where the system has no thread left: an error of the job that needed one, and the process goes on.
#include "core/base/guarded.h"
#include "core/pipeline/volume_verify.h"
#include "test/pipeline/fake_source.h"
#include "test/pipeline/repository.h"
#include "test/support/few_threads.h"

namespace vzv::test {
namespace {

TEST_CASE("backup, source, restore and verification say that no thread is left, and work again afterwards") {
  ScratchDirectory scratch;
  write_file(scratch / "disk", random_pattern(4 * kMiB, 1));
  FakeSource source(4 * kMiB);
  source.add(0, random_pattern(4 * kMiB, 1));
  Repository repository;
  BackupCounters counters;
  const Volume volume = repository.backup(source, counters);
  CancelToken cancel;
  check_needs_threads([&] {
    VolumeBackupOptions options;
    options.chunk_size_bytes = kChunk;
    BackupCounters failed;
    return backup_volume(source, *repository.writer(), options, failed, cancel).status();
  });
  check_needs_threads([&] { return open_source(FileAddress{scratch / "disk"}, SourceOptions{}, cancel).status(); });
  MapReader map(volume.geometry, volume.root, *repository.reader);
  check_needs_threads([&] {
    CopyCounters copied;
    return restore_volume(map, *repository.reader, {scratch / "restored", true}, copied, cancel);
  });
  check_needs_threads([&] {
    CopyCounters checked;
    return verify_volume(map, *repository.reader, checked, cancel).status();
  });
  CHECK((repository.restored(volume) == source.bytes()));
}

TEST_CASE("memory that runs out is an error, also in a function that answers a value") {
  CHECK(guarded([]() -> Status { throw std::bad_alloc(); }).message() == "the system has no memory left");
  CHECK(guarded([]() -> Result<int> { throw std::bad_alloc(); }).status().code() == Code::E_INTERNAL);
  CHECK(*guarded([]() -> Result<int> { return 7; }) == 7);
}

}  // namespace
}  // namespace vzv::test
