// Where the system has no thread left: an error of the job that needed one, and the process goes on.
#include <pthread.h>

#include "core/base/guarded.h"
#include "test/pipeline/fake_source.h"
#include "test/pipeline/repository.h"

namespace vzv::test {
namespace {

// While it lives no thread can be started: none finds room for a stack of that size.
class NoThreads {
 public:
  NoThreads() {
    pthread_getattr_default_np(&before_);
    pthread_attr_t huge;
    pthread_attr_init(&huge);
    pthread_attr_setstacksize(&huge, std::size_t{1} << 47);
    REQUIRE(pthread_setattr_default_np(&huge) == 0);
    pthread_attr_destroy(&huge);
  }
  ~NoThreads() {
    pthread_setattr_default_np(&before_);
    pthread_attr_destroy(&before_);
  }

 private:
  pthread_attr_t before_;
};

void check_no_thread(const Status& status) {
  CHECK(status.code() == Code::E_INTERNAL);
  CHECK(status.message() == "the system has no thread left");
}

TEST_CASE("backup, source, restore and verification say that no thread is left, and work again afterwards") {
  ScratchDirectory scratch;
  write_file(scratch / "disk", random_pattern(4 * kMiB, 1));
  FakeSource source(4 * kMiB);
  source.add(0, random_pattern(4 * kMiB, 1));
  Repository repository;
  BackupCounters counters;
  const Volume volume = repository.backup(source, counters);
  {
    NoThreads none;
    CancelToken cancel;
    auto writer = repository.writer();
    VolumeBackupOptions options;
    options.chunk_size_bytes = kChunk;
    BackupCounters failed;
    check_no_thread(backup_volume(source, *writer, options, failed, cancel).status());
    check_no_thread(open_source(FileAddress{scratch / "disk"}, SourceOptions{}, cancel).status());
    CopyCounters copied;
    MapReader map(volume.geometry, volume.root, *repository.reader);
    check_no_thread(restore_volume(map, *repository.reader, {scratch / "restored", true}, copied, cancel));
  }
  CHECK((repository.restored(volume) == source.bytes()));
}

TEST_CASE("memory that runs out is an error, also in a function that answers a value") {
  CHECK(guarded([]() -> Status { throw std::bad_alloc(); }).message() == "the system has no memory left");
  CHECK(guarded([]() -> Result<int> { throw std::bad_alloc(); }).status().code() == Code::E_INTERNAL);
  CHECK(*guarded([]() -> Result<int> { return 7; }) == 7);
}

}  // namespace
}  // namespace vzv::test
