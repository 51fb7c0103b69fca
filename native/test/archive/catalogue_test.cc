// The catalogue as a whole: what was added is read, at any place; a change costs a piece or two.
#include <doctest/doctest.h>

#include "core/archive/catalogue.h"
#include "test/archive/sample_members.h"
#include "test/store/store_fixture.h"

using namespace vzv;
using namespace vzv::test;

namespace {

StreamMap write(ChunkWriter& writer, const std::vector<Member>& members) {
  CatalogueWriter catalogue(writer);
  for (const Member& member : members) must(catalogue.add(member));
  CHECK(catalogue.members() == members.size());
  const StreamMap map = must(catalogue.finish());
  must(writer.flush());
  return map;
}

std::vector<Member> many_files(std::size_t count) {
  std::vector<Member> members;
  for (std::size_t n = 0; n < count; ++n) {
    members.push_back(sample_file("usr/share/doc/package-" + std::to_string(n / 20) + "/file-" + std::to_string(n), n));
    members.back().mtime_nanoseconds = static_cast<std::uint32_t>(n * 7919 % 1'000'000'000);
  }
  return members;
}

std::vector<MemberExtent> many_extents(std::size_t count) {
  std::vector<MemberExtent> extents;
  for (std::size_t n = 0; n < count; ++n) extents.push_back({n * 8192, 4096});
  return extents;
}

}  // namespace

TEST_CASE("a catalogue tells its members, and where their data begins, from any record on") {
  Store store;
  std::vector<Member> members = sample_members();
  const auto more = many_files(20'000);
  members.insert(members.end(), more.begin(), more.end());
  const StreamMap map = write(*store.writer(), members);
  auto chunks = store.reader(16 << 20);
  StreamReader stream(map, ChunkType::kCatalogue, *chunks);
  CatalogueReader reader(stream);
  std::vector<std::pair<std::uint64_t, std::uint64_t>> places;
  CatalogueEntry entry;
  std::uint64_t data_offset = 0;
  for (const Member& member : members) {
    REQUIRE(must(reader.next(entry)));
    CHECK(entry.member == member);
    CHECK(entry.data_offset == data_offset);
    places.emplace_back(entry.record_offset, data_offset);
    data_offset += member.stored_bytes;
  }
  CHECK_FALSE(must(reader.next(entry)));
  CHECK_FALSE(must(reader.next(entry)));
  for (std::size_t n = 0; n < members.size(); n += 313) {
    must(reader.seek(places[n].first, places[n].second));
    REQUIRE(must(reader.next(entry)));
    CHECK(entry.member == members[n]);
    CHECK(entry.data_offset == places[n].second);
  }
  CHECK(reader.seek(places[1].first + 1, 0).code() == Code::E_CATALOGUE_DAMAGED);
}

TEST_CASE("a file with more extents than a record holds comes back whole") {
  Store store;
  const std::size_t count = 3 * limits::kRecordExtentsMax + 5;
  const std::vector<Member> members = {sample_file("a", 5), sample_sparse("b", count * 8192, many_extents(count)),
                                       sample_file("c", 5)};
  const StreamMap map = write(*store.writer(), members);
  auto chunks = store.reader(16 << 20);
  StreamReader stream(map, ChunkType::kCatalogue, *chunks);
  CatalogueReader reader(stream);
  CatalogueEntry entry;
  for (const Member& member : members) {
    REQUIRE(must(reader.next(entry)));
    CHECK(entry.member == member);
  }
  CHECK(entry.data_offset == 5 + count * 4096);
  CHECK_FALSE(must(reader.next(entry)));
}

TEST_CASE("the same members make the same catalogue, and a few others few new pieces") {
  Store store;
  std::vector<Member> members = many_files(200'000);
  auto first = store.writer();
  const StreamMap map = write(*first, members);
  CHECK(write(*store.writer(), members) == map);
  auto again = store.writer();
  write(*again, members);
  CHECK(again->added_bytes() == 0);

  members[1'000].mtime_seconds += 1;
  members.insert(members.begin() + 100'000, sample_file("usr/share/doc/package-5000/new", 1));
  members.erase(members.begin() + 150'000);
  auto second = store.writer();
  write(*second, members);
  CHECK(second->added_bytes() < 150'000);
  CHECK(second->added_bytes() * 20 < first->added_bytes());
}

TEST_CASE("what a damaged catalogue tells is told, and the rest can be read") {
  Store store;
  // Pieces that are stored as they stand, whatever is in them.
  const auto put = [&](const std::vector<Bytes>& pieces) {
    auto writer = store.writer();
    StreamWriter stream(*writer);
    for (const Bytes& piece : pieces) {
      must(writer->put(ChunkType::kCatalogue, sha256(piece), piece));
      must(stream.append(sha256(piece), static_cast<std::uint32_t>(piece.size())));
    }
    const StreamMap map = must(stream.finish());
    must(writer->flush());
    return map;
  };
  const auto piece_of = [](const std::vector<Member>& members) {
    Bytes piece;
    RecordEncoder encoder;
    for (const Member& member : members) must(encoder.append(member, piece));
    return piece;
  };
  Member extents;
  extents.type = MemberType::kMoreExtents;
  extents.extents = {{50, 10}};
  const Bytes good = piece_of({sample_file("good", 1)});
  const std::vector<Bytes> bad = {
      {0, 0},
      piece_of({extents}),                                     // of no file
      piece_of({sample_sparse("a", 100, {{0, 5}}), extents}),  // more than the file stores
  };
  for (const Bytes& piece : bad) {
    const StreamMap map = put({good, piece, good});
    auto chunks = store.reader(1 << 20);
    StreamReader stream(map, ChunkType::kCatalogue, *chunks);
    CatalogueReader reader(stream);
    CatalogueEntry entry;
    CHECK(must(reader.next(entry)));
    Result<bool> next = reader.next(entry);
    while (next.ok() && entry.member.path == "a") next = reader.next(entry);
    REQUIRE_FALSE(next.ok());
    CHECK(next.status().code() == Code::E_CATALOGUE_DAMAGED);
    CHECK(next.status().message().find("catalogue piece ") == 0);
    reader.skip_damaged();
    REQUIRE(must(reader.next(entry)));
    CHECK(entry.member.path == "good");
    CHECK_FALSE(must(reader.next(entry)));
  }
}
