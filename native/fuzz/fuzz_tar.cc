// Tar streams: whatever they say, a member that is answered is one that can be kept, and the portions in which the
// bytes come change nothing. Headers are tried as they are and with their checksums mended, since no mutation would
// mend them.
#include <cstring>

#include "core/archive/catalogue_record.h"
#include "core/archive/member_index.h"
#include "core/archive/tar_reader.h"
#include "fuzz/fuzz_driver.h"
#include "test/archive/tar_builder.h"

using namespace vzv;
using test::TarBuilder;

namespace {

constexpr std::size_t kWindowBytes = 4'096;

struct Outcome {
  Status status;
  Bytes catalogue;
  std::uint64_t stored_bytes = 0;

  bool operator==(const Outcome& other) const {
    return status.code() == other.status.code() && status.message() == other.status.message() &&
           catalogue == other.catalogue && stored_bytes == other.stored_bytes;
  }
};

Status read_members(TarReader& reader, Outcome& outcome) {
  RecordEncoder encoder;
  MemberIndex index;
  Member member;
  for (;;) {
    const Result<bool> more = reader.next(member);
    if (!more.ok()) return more.status();
    if (!*more) return reader.drain();
    FUZZ_CHECK(member_problem(member).empty());
    FUZZ_CHECK(member.type != MemberType::kFile || !member.sparse ||
               extents_problem(member.extents, member.size_bytes, member.stored_bytes).empty());
    const std::string problem = index.repeats(member) ? std::string() : index.add(member);
    if (!problem.empty()) return reader.invalid("it " + problem);
    FUZZ_CHECK(encoder.append(member, outcome.catalogue).ok());
    for (std::uint64_t left = member.stored_bytes;;) {
      const Result<ByteSpan> data = reader.data();
      if (!data.ok()) return data.status();
      FUZZ_CHECK(data->size() <= left);
      FUZZ_CHECK(!data->empty() || left == 0);
      if (data->empty()) break;
      left -= data->size();
      outcome.stored_bytes += data->size();
    }
  }
}

Outcome read(ByteSpan bytes, std::size_t portion) {
  test::MemoryTar input(bytes, portion);
  TarReader reader(input, kWindowBytes);
  Outcome outcome;
  outcome.status = read_members(reader, outcome);
  FUZZ_CHECK(outcome.status.ok() || outcome.status.code() == Code::E_ARCHIVE_INVALID);
  FUZZ_CHECK(outcome.status.message().find('\n') == std::string::npos);
  FUZZ_CHECK(outcome.stored_bytes <= bytes.size());
  return outcome;
}

Bytes mended(ByteSpan bytes) {
  Bytes stream(bytes.begin(), bytes.end());
  for (std::size_t at = 0; at + kTarBlockBytes <= stream.size(); at += kTarBlockBytes) {
    if (std::memcmp(stream.data() + at + 257, "ustar", 5) != 0) continue;
    const std::string block =
        TarBuilder::with_checksum({reinterpret_cast<const char*>(stream.data()) + at, kTarBlockBytes});
    std::memcpy(stream.data() + at, block.data(), block.size());
  }
  return stream;
}

}  // namespace

std::vector<Bytes> fuzz::samples() {
  std::string map = "2\n0\n3\n512\n2\n";
  map.resize(512);
  TarBuilder sparse;
  sparse.raw(test::old_sparse_header({.name = "s", .size_bytes = 3}, {{0, 1}, {5, 1}}, 1'000, true))
      .raw(test::old_sparse_block({{10, 1}}, false))
      .raw("abc")
      .pad()
      .pax({{"GNU.sparse.major", "1"}, {"GNU.sparse.minor", "0"}, {"GNU.sparse.realsize", "2000"}})
      .member({.name = "t"}, map + "abcde")
      .pax({{"GNU.sparse.map", "0,1,7,1"}, {"GNU.sparse.numblocks", "2"}, {"GNU.sparse.size", "9"}})
      .member({.name = "u"}, "ab")
      .end();
  TarBuilder names;
  names.member({.type = '5', .name = "./"})
      .member({.name = "f"}, "contents")
      .member({.type = '1', .name = "h", .link_name = "f"})
      .member({.type = '2', .name = "l", .link_name = "/x"})
      .member({.type = '3', .name = "c"})
      .ahead('L', std::string(120, 'n') + '\0')
      .ahead('K', "target")
      .member({.type = '2', .gnu = true})
      .end();
  TarBuilder pax;
  pax.pax({{"comment", "c"}}, 'g')
      .pax({{"path", "p"},
            {"mtime", "-1.5"},
            {"uid", "7"},
            {"SCHILY.xattr.user.a", "v"},
            {"SCHILY.acl.access", "user::rwx,user:5:r--,group::r-x,mask::r--,other::---"}})
      .member({}, "x")
      .end();
  return {sparse.bytes(), names.bytes(), pax.bytes()};
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteSpan bytes(data, size);
  FUZZ_CHECK(read(bytes, SIZE_MAX) == read(bytes, 100));
  const Bytes stream = mended(bytes);
  FUZZ_CHECK(read(stream, SIZE_MAX) == read(stream, 77));
  return 0;
}
