// What changed: read from real bitmaps of QEMU, or brought by somebody else, and refused wherever it is not sure.
#include <signal.h>

#include <thread>

#include "core/base/limits.h"
#include "core/source/nbd_dirty_regions.h"
#include "core/source/region_queue.h"
#include "test/source/source_helpers.h"
#include "test/support/qemu_disk.h"

namespace vzv::test {
namespace {

constexpr std::uint64_t kGranule = 4 * kMiB;

Result<std::vector<Range>> all_of(DirtyRegions& regions) {
  std::vector<Range> all;
  while (true) {
    Result<std::optional<Range>> region = regions.next();
    if (!region.ok()) return region.status();
    if (!*region) return all;
    all.push_back(**region);
  }
}

Result<std::vector<Range>> read_bitmap(const std::string& socket, const std::string& export_name,
                                       const std::string& bitmap, std::uint64_t size_bytes, CancelToken& cancel,
                                       int stall_timeout_ms = 10'000) {
  auto regions = open_nbd_dirty_regions({socket, export_name}, bitmap, size_bytes, stall_timeout_ms, cancel);
  if (!regions.ok()) return regions.status();
  return all_of(**regions);
}

void check_bitmap_error(const Status& status, const std::string& words) {
  INFO(status.message());
  CHECK(status.code() == Code::E_SOURCE_BITMAP);
  CHECK(status.message().find(words) != std::string::npos);
}

TEST_CASE("a bitmap of QEMU: none dirty, some, the odd end, all") {
  ScratchDirectory scratch;
  const std::uint64_t size = 100 * kMiB + 512;
  write_sparse(scratch / "disk", size, {});
  QemuDisk disk(scratch / "disk");
  disk.add_bitmap("b0");
  disk.add_export("backup", "disk", "b0");
  CancelToken cancel;
  const auto read = [&] { return read_bitmap(disk.socket(), "backup", "b0", size, cancel).value(); };
  CHECK(read().empty());
  disk.guest("write 5M 1k");
  disk.guest("write 8M 4M");
  disk.guest("write 50M 512");
  CHECK(read() == std::vector<Range>{{kGranule, 2 * kGranule}, {48 * kMiB, kGranule}});
  disk.guest("write 104857600 512");
  CHECK(read() == std::vector<Range>{{kGranule, 2 * kGranule}, {48 * kMiB, kGranule}, {100 * kMiB, 512}});
  disk.guest("write -z 0 104858112");
  CHECK(read() == std::vector<Range>{{0, size}});
  disk.remove_export("backup");
  disk.clear_bitmap("b0");
  disk.add_export("backup", "disk", "b0");
  CHECK(read().empty());
}

TEST_CASE("a bitmap of 9 TiB comes in several answers, a fine one in very many regions") {
  ScratchDirectory scratch;
  const std::uint64_t size = 9ULL << 40;
  write_sparse(scratch / "disk", size, {});
  QemuDisk disk(scratch / "disk");
  disk.add_bitmap("b0");
  disk.add_export("backup", "disk", "b0");
  // Around what one request can ask for, and at the end.
  disk.guest("write 4294967296 4k");
  disk.guest("write 4294901760 4k");
  disk.guest("write " + std::to_string(size - 4096) + " 4k");
  CancelToken cancel;
  const auto coarse = read_bitmap(disk.socket(), "backup", "b0", size, cancel).value();
  // One region, although requests end within it.
  CHECK(coarse == std::vector<Range>{{4092 * kMiB, 2 * kGranule}, {size - kGranule, kGranule}});
  for (int gib = 8; gib < 16; ++gib) disk.guest("write -z " + std::to_string(gib) + "G 1G");
  const auto wide = read_bitmap(disk.socket(), "backup", "b0", size, cancel).value();
  REQUIRE(wide.size() == 3);
  CHECK(wide[1] == Range{8192 * kMiB, 8192 * kMiB});
}

TEST_CASE("more regions than one answer holds, or than are remembered of one") {
  ScratchDirectory scratch;
  const std::uint64_t size = 1024 * kMiB;
  write_sparse(scratch / "disk", size, {});
  QemuDisk disk(scratch / "disk");
  disk.add_bitmap("fine", 512);
  disk.add_export("backup", "disk", "fine");
  // Every other sector of the first 80 MiB: 81,920 regions.
  ScratchDirectory writes;
  {
    std::string text;
    // Many at once: one by one each would wait for a reply.
    for (std::uint64_t at = 0; at < 80 * kMiB; at += 1024) {
      text += "aio_write -q " + std::to_string(at) + " 512\n";
      if (at % (128 * 1024) == 127 * 1024) text += "aio_flush\n";
    }
    write_file(writes / "commands", {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
  }
  run({"sh", "-c",
       "qemu-io -f raw 'nbd+unix:///guest?socket=" + disk.socket() + "' < " + (writes / "commands") + " > /dev/null"});
  CancelToken cancel;
  const auto regions = read_bitmap(disk.socket(), "backup", "fine", size, cancel).value();
  CHECK(regions.size() == 80 * kMiB / 1024);
  CHECK(regions.size() > limits::kExtentsMax);
  for (std::size_t i = 0; i < regions.size(); ++i) REQUIRE(regions[i] == Range{i * 1024, 512});
}

TEST_CASE("a bitmap that is not offered, another size, no server: nothing is taken for unchanged") {
  ScratchDirectory scratch;
  write_sparse(scratch / "disk", 16 * kMiB, {});
  QemuDisk disk(scratch / "disk");
  disk.add_bitmap("b0");
  disk.add_export("backup", "disk", "b0");
  disk.add_export("plain", "disk", "");
  CancelToken cancel;
  const std::uint64_t size = 16 * kMiB;
  const auto error = [&](const std::string& name, const std::string& bitmap, std::uint64_t bytes) {
    return read_bitmap(disk.socket(), name, bitmap, bytes, cancel).status();
  };
  check_bitmap_error(error("backup", "b1", size), "the server has no such bitmap");
  check_bitmap_error(error("backup", "", size), "the server has no such bitmap");
  check_bitmap_error(error("plain", "b0", size), "the server has no such bitmap");
  check_bitmap_error(error("absent", "b0", size), "absent");
  check_bitmap_error(error("backup", "b0", size + 1), "the export has 16777216 bytes");
  check_bitmap_error(read_bitmap(scratch / "none.sock", "backup", "b0", size, cancel).status(), "none.sock");
  // A server without structured replies has no bitmaps either.
  NbdServer old(nbdkit({"--no-sr", "memory", "16M"}));
  check_bitmap_error(read_bitmap(old.socket(), "", "b0", size, cancel).status(), "the server has no such bitmap");
}

TEST_CASE("a server that dies or hangs while its bitmap is read") {
  ScratchDirectory scratch;
  const std::uint64_t size = 9ULL << 40;
  write_sparse(scratch / "disk", size, {});
  for (const int number : {SIGKILL, SIGSTOP}) {
    for (const bool is_cancelled : {false, true}) {
      if (number == SIGKILL && is_cancelled) continue;
      QemuDisk disk(scratch / "disk");
      disk.add_bitmap("b0");
      disk.guest("write 0 4k");
      disk.guest("write 8T 4k");
      disk.add_export("backup", "disk", "b0");
      CancelToken cancel;
      auto regions = open_nbd_dirty_regions({disk.socket(), "backup"}, "b0", size, 400, cancel);
      REQUIRE(regions.ok());
      CHECK(*(*regions)->next().value() == Range{0, kGranule});
      disk.process().signal(number);
      if (is_cancelled) cancel.cancel();
      const Status status = all_of(**regions).status();
      INFO(status.message());
      if (number == SIGKILL) CHECK(status.code() == Code::E_SOURCE_BITMAP);
      if (number == SIGSTOP) CHECK(status.code() == (is_cancelled ? Code::E_CANCELLED : Code::E_SOURCE_STALLED));
      disk.process().signal(SIGCONT);
    }
  }
}

// Brings these batches when they are asked for, as JavaScript does.
void feed(RegionQueue& queue, std::vector<std::vector<Range>> batches) {
  queue.when_wanted([&queue, batches = std::move(batches)](bool is_wanted) mutable {
    if (!is_wanted || batches.empty()) return;
    const std::vector<Range> batch = batches.front();
    batches.erase(batches.begin());
    CHECK(queue.offer(batch, batches.empty()).ok());
    feed(queue, std::move(batches));
  });
}

TEST_CASE("regions that are brought come out in order, each batch when it is wanted") {
  CancelToken cancel;
  RegionQueue queue("drive-scsi0", 10'000, cancel);
  feed(queue, {{{0, 1}, {5, 1}}, {}, {{7, 2}}, {{10, 1}, {20, 1}}});
  CHECK(all_of(queue).value() == std::vector<Range>{{0, 1}, {5, 1}, {7, 2}, {10, 1}, {20, 1}});
  bool is_wanted = true;
  queue.when_wanted([&](bool wanted) { is_wanted = wanted; });
  CHECK_FALSE(is_wanted);
}

TEST_CASE("regions that are late, too many, unasked for, or no longer wanted") {
  CancelToken cancel;
  {
    RegionQueue queue("drive-scsi0", 200, cancel);
    const Stopwatch watch;
    const Status status = all_of(queue).status();
    CHECK(status.code() == Code::E_SOURCE_STALLED);
    CHECK(status.message() == "asking for the dirty regions of drive-scsi0: no answer for 200 ms");
    CHECK(watch.ms() < 2'000);
  }
  {
    RegionQueue queue("drive-scsi0", 10'000, cancel);
    feed(queue, {std::vector<Range>(limits::kRegionBatchMax + 1)});
    CHECK(all_of(queue).status().code() == Code::E_SOURCE_BITMAP);
  }
  {
    RegionQueue queue("drive-scsi0", 10'000, cancel);
    CHECK(queue.offer({{0, 1}}, true).code() == Code::E_INTERNAL);
    bool is_wanted = true;
    queue.when_wanted([&](bool wanted) { is_wanted = wanted; });
    queue.close();
    CHECK_FALSE(is_wanted);
    CHECK(queue.offer({{0, 1}}, true).ok());
    is_wanted = true;
    queue.when_wanted([&](bool wanted) { is_wanted = wanted; });
    CHECK_FALSE(is_wanted);
  }
  RegionQueue queue("drive-scsi0", 60'000, cancel);
  std::thread later([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    cancel.cancel();
  });
  const Stopwatch watch;
  CHECK(all_of(queue).status().code() == Code::E_CANCELLED);
  CHECK(watch.ms() < 2'000);
  later.join();
}

}  // namespace
}  // namespace vzv::test
