#include "core/store/store_verify.h"

#include <filesystem>
#include <utility>

#include "core/base/limits.h"
#include "test/store/store_fixture.h"

using namespace vzv;
using namespace vzv::test;

namespace {

VerifyReport verify(const Store& store, bool decode = true) {
  const CancelToken cancel;
  return must(verify_packs(*store.dir(), {.decode = decode}, nullptr, cancel));
}

}  // namespace

TEST_CASE("an empty repository is right") {
  const Store store;
  const VerifyReport report = verify(store);
  CHECK(report.packs == 0);
  CHECK(report.damages.empty());
}

TEST_CASE("verify counts what it read and shows how far it is") {
  Store store;
  for (std::uint64_t n = 0; n < 3; ++n) store.put_all({random_chunk(2 * n, 1'500'000), random_chunk(2 * n + 1, 10)});
  const CancelToken cancel;
  std::vector<VerifyProgress> seen;
  const VerifyReport report = must(verify_packs(
      *store.dir(), {.decode = true}, [&](const VerifyProgress& p) { seen.push_back(p); }, cancel));
  CHECK(report.packs == 3);
  CHECK(report.segments == 3);
  CHECK(report.chunks == 6);
  CHECK(report.damages.empty());
  REQUIRE(seen.size() >= 6);
  for (std::size_t i = 1; i < seen.size(); ++i) CHECK(seen[i - 1].processed_bytes <= seen[i].processed_bytes);
  CHECK(seen.back().processed_bytes == seen.back().total_bytes);
  CHECK(report.pack_bytes == seen.back().total_bytes);
}

TEST_CASE("verify names what is damaged: pack, chunk, segment, missing pack") {
  Store store;
  store.put_all({random_chunk(1)});
  const Id pack = store.packs()[0];
  const std::string path = store.file(pack_name(pack));
  Bytes bytes = read_file(path);
  bytes[100] ^= 1;
  write_file(path, bytes);
  VerifyReport report = verify(store);
  REQUIRE(report.damages.size() == 2);
  CHECK(report.damages[0].code() == Code::E_PACK_DAMAGED);
  CHECK(report.damages[0].message().find(pack.hex()) != std::string::npos);
  CHECK(report.damages[1].code() == Code::E_CHUNK_DAMAGED);
  CHECK(report.damages[1].message().find(random_chunk(1).id.hex().substr(0, 16)) != std::string::npos);
  CHECK(verify(store, false).damages.size() == 1);

  std::filesystem::remove(path);
  report = verify(store);
  REQUIRE(report.damages.size() == 1);
  CHECK(report.damages[0].code() == Code::E_PACK_MISSING);
  CHECK(report.damages[0].message().find(pack_name(pack)) != std::string::npos);

  const Id segment = store.segments()[0];
  write_file(store.file(segment_name(segment)), Bytes(10));
  report = verify(store);
  REQUIRE(report.damages.size() == 1);
  CHECK(report.damages[0].code() == Code::E_SEGMENT_DAMAGED);
  CHECK(report.damages[0].message().find(segment.hex()) != std::string::npos);
}

TEST_CASE("a backup that ends while verify runs is no damage") {
  Store store;
  store.put_all({random_chunk(1)});
  const CancelToken cancel;
  bool added = false;
  const auto add_once = [&](const VerifyProgress&) {
    if (!std::exchange(added, true)) store.put_all({random_chunk(2)});
  };
  const VerifyReport report = must(verify_packs(*store.dir(), {.decode = true}, add_once, cancel));
  CHECK(added);
  CHECK(report.segments == 2);
  CHECK(report.damages.empty());
}

TEST_CASE("a pack under a foreign name is found, although every chunk in it is right") {
  Store store;
  store.put_all({random_chunk(1)});
  const Id other = random_chunk(2).id;
  std::filesystem::create_directories(store.file("packs/" + other.hex().substr(0, 2)));
  std::filesystem::copy(store.file(pack_name(store.packs()[0])), store.file(pack_name(other)));
  const VerifyReport report = verify(store);
  REQUIRE(report.damages.size() == 1);
  CHECK(report.damages[0].code() == Code::E_PACK_DAMAGED);
  CHECK(report.damages[0].message().find(other.hex()) != std::string::npos);
}

TEST_CASE("of very many damages the first are listed, the others counted") {
  Store store;
  std::vector<TestChunk> chunks;
  const std::size_t count = limits::kDamagesListedMax + 100;
  for (std::uint64_t n = 0; n < count; ++n) chunks.push_back(random_chunk(n, 16));
  store.put_all(chunks);
  const std::string path = store.file(pack_name(store.packs()[0]));
  Bytes bytes = read_file(path);
  for (std::size_t i = 0; i < 16 * count; ++i) bytes[48 + i] ^= 1;
  write_file(path, bytes);
  const VerifyReport report = verify(store);
  CHECK(report.damages.size() == limits::kDamagesListedMax);
  CHECK(report.damages.size() + report.damages_unlisted == count + 1);
}

TEST_CASE("verify stops when it is cancelled") {
  Store store;
  store.put_all({random_chunk(1)});
  CancelToken cancel;
  cancel.cancel();
  CHECK(verify_packs(*store.dir(), {}, nullptr, cancel).status().code() == Code::E_CANCELLED);
}
