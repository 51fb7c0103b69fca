// Incremental backups as Proxmox VE has them made: a snapshot by copy-before-write whose reads outside the dirty bitmap
// fail, while the guest goes on writing.
#include "core/source/nbd_dirty_regions.h"
#include "test/pipeline/repository.h"
#include "test/support/qemu_disk.h"

namespace vzv::test {
namespace {

struct Incremental {
  Result<VolumeBackupResult> result{Status(Code::E_INTERNAL, "not run")};
  BackupCounters counters;
};

// All of the disk; its bitmap tells what changes from then on.
Volume back_up_first(Repository& repository, QemuDisk& disk) {
  disk.add_bitmap("since");
  disk.add_export("whole", "disk", "");
  BackupCounters counters;
  const Volume base = repository.backup(NbdSocketAddress{disk.socket(), "whole"}, counters);
  disk.remove_export("whole");
  return base;
}

void back_up_access(Repository& repository, QemuDisk& disk, const Volume& base, bool discard, Incremental& run) {
  CancelToken cancel;
  const NbdSocketAddress address{disk.socket(), "access"};
  auto source = expect(open_source(address, SourceOptions{}, cancel));
  auto regions = expect(open_nbd_dirty_regions(address, "since", source->size_bytes(), 10'000, cancel));
  // Packs small enough for some to be finished before the end.
  auto writer = expect(ChunkWriter::create(repository.dir, repository.index, {.pack_target_bytes = 8 * kMiB}));
  VolumeBackupOptions options;
  options.chunk_size_bytes = kChunk;
  options.discard = discard;
  options.incremental.emplace(IncrementalBase{*regions, base.geometry, base.root, *repository.reader});
  run.result = backup_volume(*source, *writer, options, run.counters, cancel);
  if (run.result.ok()) expect(writer->flush());
}

TEST_CASE("changes before the snapshot are in it, those after it are not, and nothing else is read") {
  ScratchDirectory scratch;
  const std::uint64_t size = 200 * kMiB + 512;
  write_sparse(scratch / "disk.raw", size, {{0, random_pattern(48 * kMiB, 1)}, {size - 512, random_pattern(512, 2)}});
  write_sparse(scratch / "fleece.raw", size, {});
  QemuDisk disk(scratch / "disk.raw");
  Repository repository;
  const Volume base = back_up_first(repository, disk);

  disk.guest("write -P 7 10M 64k");        // one granule
  disk.guest("write -P 8 100M 9M");        // three
  disk.guest("write -z -u 20M 4M");        // becomes a hole
  disk.guest("write -P 9 209715200 512");  // the odd end
  const Bytes expected = read_file(scratch / "disk.raw");
  disk.begin_snapshot(scratch / "fleece.raw", "since");
  disk.add_export("access", "access", "since");
  disk.guest("write -P 1 10M 1M", "guest-behind");
  disk.guest("write -P 2 100M 20M", "guest-behind");
  disk.guest("write -P 3 150M 8M", "guest-behind");

  // The server does refuse what is outside.
  CancelToken cancel;
  BackupCounters refused;
  auto whole = expect(open_source(NbdSocketAddress{disk.socket(), "access"}, SourceOptions{}, cancel));
  auto writer = repository.writer();
  VolumeBackupOptions full;
  full.chunk_size_bytes = kChunk;
  CHECK(backup_volume(*whole, *writer, full, refused, cancel).status().code() == Code::E_SOURCE_READ);
  whole.reset();

  Incremental run;
  back_up_access(repository, disk, base, false, run);
  const VolumeBackupResult result = expect(run.result);
  CHECK(run.counters.unchanged_bytes.load() == size - (1 + 3 + 1) * 4 * kMiB - 512);
  CHECK(run.counters.read_bytes <= 4 * 4 * kMiB + 512);
  CHECK(run.counters.zero_bytes >= 4 * kMiB);
  CHECK((repository.restored({result.geometry, result.root}) == expected));
}

TEST_CASE("discards through the snapshot shrink the fleecing image, and the guest's disk keeps its bytes") {
  ScratchDirectory scratch;
  const std::uint64_t size = 160 * kMiB;
  write_sparse(scratch / "disk.raw", size, {});
  write_sparse(scratch / "fleece.raw", size, {});
  QemuDisk disk(scratch / "disk.raw");
  Repository repository;
  const Volume base = back_up_first(repository, disk);
  write_file(scratch / "pattern", random_pattern(32 * kMiB, 5));
  disk.guest("write -s " + (scratch / "pattern") + " 0 32M");
  disk.guest("write -s " + (scratch / "pattern") + " 64M 32M");
  const Bytes expected = read_file(scratch / "disk.raw");
  disk.begin_snapshot(scratch / "fleece.raw", "since");
  disk.add_export("access", "access", "since", true);
  disk.guest("write -P 1 0 96M", "guest-behind");
  CHECK(allocated_bytes(scratch / "fleece.raw") >= 64 * kMiB);

  Incremental run;
  back_up_access(repository, disk, base, true, run);
  const VolumeBackupResult result = expect(run.result);
  INFO(result.discard_refusal.value_or("no refusal"));
  CHECK_FALSE(result.discard_refusal);
  CHECK(run.counters.discarded_bytes.load() == 64 * kMiB);
  CHECK(allocated_bytes(scratch / "fleece.raw") < 8 * kMiB);
  CHECK((repository.restored({result.geometry, result.root}) == expected));
  const Bytes now = read_file(scratch / "disk.raw");
  CHECK(std::all_of(now.begin(), now.begin() + 96 * kMiB, [](std::uint8_t byte) { return byte == 1; }));
}

TEST_CASE("an export that is read-only takes no discards, which fails nothing") {
  ScratchDirectory scratch;
  write_sparse(scratch / "disk.raw", 16 * kMiB, {});
  QemuDisk disk(scratch / "disk.raw");
  disk.add_bitmap("since");
  disk.add_export("access", "disk", "since");
  Repository repository;
  Incremental run;
  back_up_access(repository, disk, {*VolumeGeometry::make(16 * kMiB, kChunk), Id{}}, true, run);
  CHECK(expect(run.result).root.is_zero());
  disk.guest("write -z 0 4M");
  Incremental changed;
  back_up_access(repository, disk, {*VolumeGeometry::make(16 * kMiB, kChunk), Id{}}, true, changed);
  CHECK(expect(changed.result).discard_refusal == "NBD export 'access' at " + disk.socket() + " takes no discards");
  CHECK(changed.counters.discarded_bytes == 0);
}

}  // namespace
}  // namespace vzv::test
