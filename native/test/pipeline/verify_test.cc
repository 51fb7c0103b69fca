// Verification of a volume finds every damage and goes on behind it.
#include <fcntl.h>
#include <unistd.h>

#include "core/pipeline/volume_verify.h"
#include "test/pipeline/fake_source.h"
#include "test/pipeline/repository.h"

namespace vzv::test {
namespace {

struct Stored {
  FakeSource source;
  Repository repository;
  BackupCounters counters;
  Volume volume;

  Stored(std::uint64_t size_bytes, std::uint64_t data_bytes, std::uint32_t chunk_size_bytes = 256 * kKiB)
      : source(size_bytes) {
    source.add(0, random_pattern(data_bytes, 1));
    volume = repository.backup(source, counters, chunk_size_bytes);
  }

  VolumeVerifyResult verify() {
    repository.reopen();
    MapReader map(volume.geometry, volume.root, *repository.reader);
    CancelToken cancel;
    CopyCounters copied;
    VolumeVerifyResult result = expect(verify_volume(map, *repository.reader, copied, cancel));
    CHECK(copied.processed_bytes == source.size_bytes());
    return result;
  }

  // The packs, those of data first: they are larger.
  std::vector<std::filesystem::path> packs() const {
    std::vector<std::filesystem::path> found;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(repository.path() + "/packs")) {
      if (entry.is_regular_file()) found.push_back(entry.path());
    }
    std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return file_size(a) > file_size(b); });
    return found;
  }
};

TEST_CASE("a volume that is whole has no damage, and its holes are not read") {
  Stored stored(100 * kMiB + 77, 10 * kMiB);
  const VolumeVerifyResult result = stored.verify();
  CHECK(result.chunks == 40);
  CHECK(result.damage_count == 0);
  CHECK(result.damages.empty());
  CHECK(stored.repository.reader->counters().chunks_read == 40 + 2);  // the second leaf is all zero
}

TEST_CASE("damaged chunks are counted one by one") {
  Stored stored(10 * kMiB, 10 * kMiB);
  const UniqueFd pack(::open(stored.packs()[0].c_str(), O_RDWR | O_CLOEXEC));
  for (off_t at : {300'000, 3'000'000, 6'000'000}) REQUIRE(::pwrite(pack.get(), "damage", 6, at) == 6);
  const VolumeVerifyResult result = stored.verify();
  CHECK(result.chunks == 40);
  CHECK(result.damage_count == 3);
  REQUIRE(result.damages.size() == 3);
  for (const Status& damage : result.damages) CHECK(damage.code() == Code::E_CHUNK_DAMAGED);
}

TEST_CASE("a missing pack of data is a damage for each of its chunks") {
  Stored stored(10 * kMiB, 10 * kMiB);
  REQUIRE(std::filesystem::remove(stored.packs()[0]));
  const VolumeVerifyResult result = stored.verify();
  CHECK(result.damage_count == 40);
  for (const Status& damage : result.damages) CHECK(damage.code() == Code::E_CHUNK_MISSING);
}

TEST_CASE("a map that cannot be read at all is one damage") {
  Stored stored(500 * kMiB, kMiB);
  const auto packs = stored.packs();
  REQUIRE(packs.size() == 2);
  REQUIRE(std::filesystem::remove(packs[1]));
  const VolumeVerifyResult result = stored.verify();
  CHECK(result.chunks == 0);
  CHECK(result.damage_count == 1);
}

TEST_CASE("more damages than are listed are still counted") {
  Stored stored(350 * kMiB, 350 * kMiB);
  for (const auto& pack : stored.packs()) {
    if (file_size(pack) > kMiB) REQUIRE(std::filesystem::remove(pack));
  }
  const VolumeVerifyResult result = stored.verify();
  CHECK(result.damage_count == 1'400);
  CHECK(result.damages.size() == 1'000);
}

TEST_CASE("a cancelled verification is cancelled") {
  Stored stored(10 * kMiB, 10 * kMiB);
  MapReader map(stored.volume.geometry, stored.volume.root, *stored.repository.reader);
  CancelToken cancel;
  cancel.cancel();
  CopyCounters copied;
  CHECK(verify_volume(map, *stored.repository.reader, copied, cancel).status().code() == Code::E_CANCELLED);
}

}  // namespace
}  // namespace vzv::test
