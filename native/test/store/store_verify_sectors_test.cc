// What verify says of a pack that its disk cannot read as a whole any more, and of a storage that is away.
#include <cerrno>

#include "core/store/lost_range.h"
#include "core/store/pack_reader.h"
#include "core/store/store_verify.h"
#include "test/store/store_fixture.h"
#include "test/support/unreadable_ranges.h"

using namespace vzv;
using namespace vzv::test;

namespace {

// A pack of chunks of a sector's size and more.
struct Fixture {
  Fixture() {
    std::vector<TestChunk> chunks;
    for (std::uint64_t n = 0; n < 5; ++n) chunks.push_back(random_chunk(n, 5000));
    store.put_all(chunks);
    pack = store.packs().at(0);
    path = store.file(pack_name(pack));
    table = must(must(PackReader::open(*store.dir(), pack))->table());
    file_bytes = file_size(path);
  }

  std::vector<Code> codes(bool decode = true) const {
    const CancelToken cancel;
    report = must(verify_packs(*store.dir(), {.decode = decode}, nullptr, cancel));
    std::vector<Code> found;
    for (const Status& damage : report.damages) found.push_back(damage.code());
    return found;
  }
  const std::string& message(std::size_t n) const { return report.damages.at(n).message(); }

  Store store;
  Id pack;
  std::string path;
  std::vector<PackEntry> table;
  std::uint64_t file_bytes = 0;
  UnreadableRanges bad;
  mutable VerifyReport report;
};

using Codes = std::vector<Code>;
constexpr auto kContains = [](const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
};

}  // namespace

TEST_CASE("a sector that cannot be read damages the chunks in it, and the others are looked at") {
  Fixture fixture;
  fixture.bad.add(fixture.path, fixture.table[1].offset + 4900, 200, EIO);  // its end, and the next one's beginning
  CHECK(fixture.codes() == Codes{Code::E_STORAGE_IO, Code::E_CHUNK_DAMAGED, Code::E_CHUNK_DAMAGED});
  CHECK(kContains(fixture.message(1), fixture.table[1].id.hex().substr(0, 16)));
  CHECK(kContains(fixture.message(1), "cannot be read: Input/output error"));
  CHECK(kContains(fixture.message(2), fixture.table[2].id.hex().substr(0, 16)));
  CHECK(fixture.report.chunks == 5);
}

TEST_CASE("beside a sector that cannot be read other damage is found") {
  Fixture fixture;
  Bytes bytes = read_file(fixture.path);
  bytes[fixture.table[4].offset] ^= 1;
  write_file(fixture.path, bytes);
  fixture.bad.add(fixture.path, fixture.table[0].offset, 512, EIO);
  CHECK(fixture.codes() == Codes{Code::E_STORAGE_IO, Code::E_CHUNK_DAMAGED, Code::E_CHUNK_DAMAGED});
  CHECK(kContains(fixture.message(2), fixture.table[4].id.hex().substr(0, 16)));
}

TEST_CASE("a header or a table that cannot be read is damage of the pack") {
  Fixture fixture;
  std::string part;
  SUBCASE("header") {
    part = "header";
    fixture.bad.add(fixture.path, 0, 512, EIO);
  }
  SUBCASE("table") {
    part = "table";
    fixture.bad.add(fixture.path, fixture.table[4].offset + 5000 + 60, 1, EIO);
  }
  SUBCASE("trailer") {
    part = "table";
    fixture.bad.add(fixture.path, fixture.file_bytes - 10, 10, EIO);
  }
  CHECK(fixture.codes() == Codes{Code::E_STORAGE_IO, Code::E_PACK_DAMAGED});
  CHECK(kContains(fixture.message(1), "its " + part + " cannot be read: Input/output error"));
}

TEST_CASE("where nothing of a pack can be read it is the storage that fails, as with every other error") {
  Fixture fixture;
  SUBCASE("nothing at all") { fixture.bad.add(fixture.path, 0, fixture.file_bytes, EIO); }
  SUBCASE("a file handle that is stale") { fixture.bad.add(fixture.path, fixture.table[1].offset, 512, ESTALE); }
  SUBCASE("a FUSE mount that ended") { fixture.bad.add(fixture.path, fixture.table[1].offset, 512, ENOTCONN); }
  CHECK(fixture.codes() == Codes{Code::E_STORAGE_IO});
}

TEST_CASE("a storage that goes away in the middle of a pack is no damage of it") {
  Fixture fixture;
  // The first chunks can be read, then nothing can any more.
  fixture.bad.add(fixture.path, 0, fixture.file_bytes, EIO);
  std::uint64_t reads = 0;
  fixture.bad.when([&](std::uint64_t) { return ++reads > 7; });
  const Codes codes = fixture.codes();
  REQUIRE_FALSE(codes.empty());
  for (const Code code : codes) CHECK(code == Code::E_STORAGE_IO);
}

TEST_CASE("an error that passes is told, and is no damage") {
  Fixture fixture;
  fixture.bad.add(fixture.path, fixture.table[2].offset, 512, EIO);
  fixture.bad.when([](std::uint64_t failures) { return failures < 1; });
  CHECK(fixture.codes() == Codes{Code::E_STORAGE_IO});
}

TEST_CASE("where chunks are not decoded a sector that cannot be read is an error of the storage") {
  Fixture fixture;
  fixture.bad.add(fixture.path, fixture.table[1].offset, 512, EIO);
  CHECK(fixture.codes(false) == Codes{Code::E_STORAGE_IO});
}

TEST_CASE("a range is lost where the rest of the pack can be read, and only then") {
  Fixture fixture;
  const std::uint64_t at = fixture.table[2].offset;
  const auto state = [&] { return state_of_range(*fixture.store.dir(), fixture.pack, at, 5000); };
  CHECK(state() == RangeState::kReadable);
  fixture.bad.add(fixture.path, at + 4999, 1, EIO);
  CHECK(state() == RangeState::kLost);
  CHECK(state_of_header(*fixture.store.dir(), fixture.pack) == RangeState::kReadable);
  CHECK(state_of_table(*fixture.store.dir(), fixture.pack) == RangeState::kReadable);
  // Any other place will do.
  fixture.bad.add(fixture.path, 0, 512, EIO);
  CHECK(state() == RangeState::kLost);
  fixture.bad.add(fixture.path, fixture.file_bytes - 512, 512, EIO);
  CHECK(state_of_header(*fixture.store.dir(), fixture.pack) == RangeState::kLost);
  fixture.bad.add(fixture.path, 0, fixture.file_bytes, EIO);
  CHECK(state_of_header(*fixture.store.dir(), fixture.pack) == RangeState::kUnknown);
  CHECK(state_of_range(*fixture.store.dir(), random_chunk(99).id, 0, 1) == RangeState::kUnknown);
}
