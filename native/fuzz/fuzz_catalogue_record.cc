// Pieces of a catalogue: what is accepted is what would be written, and nothing else is.
#include "core/archive/catalogue_record.h"
#include "fuzz/fuzz_driver.h"
#include "test/archive/sample_members.h"

using namespace vzv;

namespace {

Bytes piece_of(const std::vector<Member>& members) {
  RecordEncoder encoder;
  Bytes piece;
  for (const Member& member : members) FUZZ_CHECK(encoder.append(member, piece).ok());
  return piece;
}

}  // namespace

std::vector<Bytes> fuzz::samples() {
  Member more;
  more.type = MemberType::kMoreExtents;
  more.extents = {{4096, 1}, {8192, 100}};
  std::vector<Bytes> samples = {piece_of(test::sample_members()), piece_of({more})};
  for (const Member& member : test::sample_members()) samples.push_back(piece_of({member, member}));
  return samples;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteSpan piece(data, size);
  RecordDecoder decoder(piece);
  RecordEncoder encoder;
  Bytes again;
  Member member;
  while (!decoder.at_end()) {
    const std::size_t before = decoder.offset();
    const Status status = decoder.next(member);
    if (!status.ok()) {
      FUZZ_CHECK(status.code() == Code::E_CATALOGUE_DAMAGED);
      FUZZ_CHECK(decoder.offset() == before);
      break;
    }
    FUZZ_CHECK(decoder.offset() > before);
    FUZZ_CHECK(path_problem(member.path).empty());
    FUZZ_CHECK(encoder.append(member, again).ok());
    FUZZ_CHECK(again.size() == decoder.offset());
  }
  FUZZ_CHECK(again == Bytes(piece.begin(), piece.begin() + static_cast<std::ptrdiff_t>(again.size())));
  return 0;
}
