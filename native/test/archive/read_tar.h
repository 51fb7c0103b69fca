// What a tar stream in memory holds, for tests.
#pragma once

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "core/archive/tar_reader.h"
#include "test/archive/tar_builder.h"

namespace vzv::test {

struct ReadMember {
  Member member;
  std::string data;
};

inline Result<std::vector<ReadMember>> read_tar(ByteSpan bytes, std::size_t portion = SIZE_MAX) {
  MemoryTar input(bytes, portion);
  TarReader reader(input);
  std::vector<ReadMember> members;
  for (;;) {
    ReadMember read;
    const Result<bool> more = reader.next(read.member);
    if (!more.ok()) return more.status();
    if (!*more) break;
    for (;;) {
      const Result<ByteSpan> data = reader.data();
      if (!data.ok()) return data.status();
      if (data->empty()) break;
      read.data.append(data->begin(), data->end());
    }
    members.push_back(std::move(read));
  }
  VZV_TRY(reader.drain());
  return members;
}

inline std::vector<ReadMember> must_read(const TarBuilder& tar, std::size_t portion = SIZE_MAX) {
  auto members = read_tar(tar.bytes(), portion);
  REQUIRE_MESSAGE(members.ok(), members.status().message());
  return *members;
}

// The message with which it is refused.
inline std::string refusal(const TarBuilder& tar) {
  const auto members = read_tar(tar.bytes());
  REQUIRE(members.status().code() == Code::E_ARCHIVE_INVALID);
  CHECK(members.status().message().find('\n') == std::string::npos);
  return members.status().message();
}
inline void check_refused(const TarBuilder& tar, const std::string& because) {
  const std::string message = refusal(tar);
  CHECK_MESSAGE(message.find(because) != std::string::npos, message << " does not say '" << because << "'");
}

}  // namespace vzv::test
