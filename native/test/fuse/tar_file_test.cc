// root.tar, generated: unpacked by GNU tar, read from any offset, and laid out so that a listing passes over data.
#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <span>

#include "core/archive/tar_layout.h"
#include "test/archive/read_tar.h"
#include "test/fuse/archive_fixture.h"

namespace {

using namespace vzv;
using namespace vzv::test;

// An archive, and readers of its tar file that share a layout.
class TarFile {
 public:
  explicit TarFile(const std::vector<Member>& members)
      : spec_(store_archive(store_, members)),
        chunks_(store_.reader(64 << 20)),
        catalogue_(spec_.catalogue, ChunkType::kCatalogue, *chunks_),
        data_(spec_.data, ChunkType::kData, *chunks_),
        layout_(must(TarLayout::build(catalogue_, data_.size_bytes()))) {}

  const TarLayout& layout() const { return *layout_; }
  StreamReader& catalogue() { return catalogue_; }
  TarFileReader reader() {
    return TarFileReader(layout_, catalogue_, [this](std::uint64_t offset, std::span<std::uint8_t> buffer) {
      data_bytes_read_ += buffer.size();
      return data_.read(offset, buffer);
    });
  }
  Bytes all() {
    Bytes bytes(layout_->size_bytes());
    must(reader().read(0, bytes));
    return bytes;
  }
  std::uint64_t data_bytes_read() const { return data_bytes_read_; }

 private:
  Store store_;
  fuse::ArchiveSpec spec_;
  std::unique_ptr<ChunkReader> chunks_;
  StreamReader catalogue_;
  StreamReader data_;
  std::shared_ptr<const TarLayout> layout_;
  std::uint64_t data_bytes_read_ = 0;
};

// What GNU tar makes of the file is what the catalogue tells and the data holds.
void check_unpacked(const std::vector<Member>& members) {
  TarFile file(members);
  const ScratchDirectory scratch;
  const std::string tar = scratch.path() + "/root.tar";
  const std::string root = scratch.path() + "/root";
  std::filesystem::create_directory(root);
  const Bytes bytes = file.all();
  std::ofstream(tar, std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  const std::string command = "tar xf " + tar + " -C " + root + " --no-same-owner --warning=no-timestamp";
  REQUIRE(std::system(command.c_str()) == 0);

  const Bytes data = sample_data(stored_bytes_of(members));
  std::size_t at = 0;
  for (const Member& member : members) {
    if (member.type != MemberType::kFile) continue;
    CAPTURE(member.path);
    std::string expected(member.size_bytes, '\0');
    const MemberExtent whole{0, member.size_bytes};
    const std::span<const MemberExtent> ranges = member.sparse ? std::span(member.extents) : std::span(&whole, 1);
    for (const MemberExtent& range : ranges) {
      std::copy_n(data.begin() + static_cast<std::ptrdiff_t>(at), range.length,
                  expected.begin() + static_cast<std::ptrdiff_t>(range.offset));
      at += range.length;
    }
    std::ifstream stream(root + "/" + member.path, std::ios::binary);
    const std::string unpacked((std::istreambuf_iterator<char>(stream)), std::istreambuf_iterator<char>());
    REQUIRE(unpacked.size() == expected.size());
    CHECK(unpacked == expected);
  }
}

// As GNU tar finds ranges: in whole blocks, but for the end of the last.
Member in_whole_blocks(Member member) {
  if (!member.sparse) return member;
  std::uint64_t end = 0;
  member.stored_bytes = 0;
  for (MemberExtent& extent : member.extents) {
    if (&extent != &member.extents.back()) extent.length = tar_blocks(extent.length);
    extent.offset = std::max(extent.offset, end + 1);
    end = extent.offset + extent.length;
    member.stored_bytes += extent.length;
  }
  member.size_bytes = std::max(member.size_bytes, end);
  return member;
}

}  // namespace

TEST_CASE("GNU tar unpacks random files and their holes as the catalogue has them") {
  for (const std::uint64_t seed : {1, 2, 3}) check_unpacked(random_members(seed, 400));
}

TEST_CASE("a tar file that is taken in again has the same members and data") {
  std::vector<Member> members;
  for (const std::vector<Member>& some : {sample_members(), random_members(13, 400)}) {
    for (const Member& member : some) {
      if (members.empty() || !member.path.empty()) members.push_back(in_whole_blocks(member));
    }
  }
  TarFile file(members);
  const Bytes tar = file.all();
  const Bytes data = sample_data(stored_bytes_of(members));
  const std::vector<ReadMember> again = must(read_tar(tar));
  REQUIRE(again.size() == members.size());
  std::size_t at = 0;
  for (std::size_t i = 0; i < members.size(); ++i) {
    CAPTURE(printable(members[i].path));
    CHECK(again[i].member == members[i]);
    CHECK(std::equal(again[i].data.begin(), again[i].data.end(), data.begin() + static_cast<std::ptrdiff_t>(at),
                     [](char a, std::uint8_t b) { return static_cast<std::uint8_t>(a) == b; }));
    at += again[i].data.size();
  }
  CHECK(at == data.size());
}

TEST_CASE("a tar file reads alike from any offset") {
  TarFile file(random_members(7, 1000));
  const Bytes tar = file.all();
  REQUIRE(tar.size() % kTarRecordBytes == 0);
  std::mt19937_64 random(1);
  TarFileReader kept = file.reader();
  for (int i = 0; i < 2000; ++i) {
    const std::uint64_t offset = random() % tar.size();
    Bytes buffer(std::min<std::uint64_t>(tar.size() - offset, random() % 30'000));
    must(kept.read(offset, buffer));
    REQUIRE(std::equal(buffer.begin(), buffer.end(), tar.begin() + static_cast<std::ptrdiff_t>(offset)));
  }
}

TEST_CASE("data begins and ends where tar's records do") {
  const std::vector<Member> members = random_members(9, 800);
  TarFile file(members);
  std::uint64_t offset = 0;
  for (const Member& member : members) {
    const TarShape shape = tar_shape(member, TarMap(member), offset);
    CHECK(tar_member_header(member, shape).size() == shape.header_bytes);
    if (member.stored_bytes > 0) {
      CHECK((offset + shape.header_bytes + shape.map_bytes) % kTarRecordBytes == 0);
      CHECK(shape.data_bytes % kTarRecordBytes == 0);
    } else {
      CHECK(shape.data_bytes == 0);
    }
    offset += shape.total_bytes();
  }
  CHECK(offset == file.layout().members_end());
  CHECK(file.layout().members() == members.size());
}

TEST_CASE("headers and maps are read without data") {
  const std::vector<Member> members = random_members(11, 500);
  TarFile file(members);
  TarFileReader reader = file.reader();
  std::uint64_t offset = 0;
  for (const Member& member : members) {
    const TarShape shape = tar_shape(member, TarMap(member), offset);
    Bytes head(shape.header_bytes + shape.map_bytes);
    must(reader.read(offset, head));
    offset += shape.total_bytes();
  }
  CHECK(file.data_bytes_read() == 0);
}

TEST_CASE("a large file without holes is an ordinary member, and numbers beyond the classic header's have room") {
  const Member large = sample_file("large", 9ULL << 30);
  for (const std::uint64_t at : {0, 512, 1024, 8704, 9216, 9728}) {
    const TarShape shape = tar_shape(large, TarMap(large), at);
    CHECK(shape.map_bytes == 0);
    CHECK((at + shape.header_bytes) % kTarRecordBytes == 0);
    const Bytes header = tar_member_header(large, shape);
    const std::string text(header.begin(), header.end());
    CHECK(header.size() == shape.header_bytes);
    CHECK(text.find("19 size=9663676416\n") != std::string::npos);
  }
  Member plain = sample_file("plain", limits::kTarPlainFileMinBytes);
  plain.mtime_nanoseconds = 0;
  for (std::uint64_t at = 0; at < kTarRecordBytes; at += kTarBlockBytes) {
    const TarShape shape = tar_shape(plain, TarMap(plain), at);
    CHECK((at + shape.header_bytes) % kTarRecordBytes == 0);
    CHECK(shape.header_bytes < 2 * kTarRecordBytes);
    CHECK(tar_member_header(plain, shape).size() == shape.header_bytes);
  }
  const Member sparse = sample_sparse("sparse", 20ULL << 30, {{0, 10ULL << 30}});
  const TarShape shape = tar_shape(sparse, TarMap(sparse), 0);
  const Bytes header = tar_member_header(sparse, shape);
  const std::string told = " size=" + std::to_string(shape.map_bytes + shape.data_bytes) + "\n";
  CHECK(std::string(header.begin(), header.end()).find(told) != std::string::npos);
}

TEST_CASE("a catalogue that does not make up the data has no tar file") {
  const std::vector<Member> members = {sample_file("a", 1000), sample_file("b", 500)};
  TarFile file(members);
  for (const std::uint64_t data_bytes : {0, 999, 1000, 1499, 1501}) {
    CHECK(TarLayout::build(file.catalogue(), data_bytes).status().code() == Code::E_CATALOGUE_DAMAGED);
  }
}

TEST_CASE("an archive without members is a tar file of nothing") {
  TarFile file({});
  CHECK(file.all() == Bytes(kTarRecordBytes, 0));
}
