// Archives in a repository, made from members and data as a test wants them.
#pragma once

#include <doctest/doctest.h>

#include <random>
#include <string>
#include <vector>

#include "core/archive/catalogue.h"
#include "core/base/sha256.h"
#include "core/chunk/zero.h"
#include "fuse/mount_spec.h"
#include "test/archive/sample_members.h"
#include "test/store/store_fixture.h"

namespace vzv::test {

inline constexpr std::size_t kPieceBytes = 10'000;  // fits nothing that tar does

inline std::uint64_t stored_bytes_of(const std::vector<Member>& members) {
  std::uint64_t sum = 0;
  for (const Member& member : members) sum += member.stored_bytes;
  return sum;
}

// Bytes that tell where they are, with pieces of zeroes among them.
inline Bytes sample_data(std::uint64_t length) {
  Bytes data(length);
  for (std::size_t i = 0; i < data.size(); ++i) {
    data[i] = i / kPieceBytes % 5 == 4 ? 0 : static_cast<std::uint8_t>(i * 2'654'435'761U >> 24 | 1);
  }
  return data;
}

inline StreamMap store_data(ChunkWriter& writer, const Bytes& data) {
  StreamWriter stream(writer);
  for (std::size_t at = 0; at < data.size(); at += kPieceBytes) {
    const ByteSpan piece = ByteSpan(data).subspan(at, std::min(kPieceBytes, data.size() - at));
    const Id id = is_zero(piece) ? Id() : sha256(piece);
    if (!id.is_zero()) must(writer.put(ChunkType::kData, id, piece));
    must(stream.append(id, static_cast<std::uint32_t>(piece.size())));
  }
  return must(stream.finish());
}

inline fuse::ArchiveSpec store_archive(const Store& store, const std::vector<Member>& members, const Bytes& data) {
  auto writer = store.writer();
  CatalogueWriter catalogue(*writer);
  for (const Member& member : members) must(catalogue.add(member));
  const fuse::ArchiveSpec spec{store_data(*writer, data), must(catalogue.finish())};
  must(writer->flush());
  return spec;
}

inline fuse::ArchiveSpec store_archive(const Store& store, const std::vector<Member>& members) {
  return store_archive(store, members, sample_data(stored_bytes_of(members)));
}

// Files with and without holes of all sizes around what tar rounds to, directories, and what has long headers.
inline std::vector<Member> random_members(std::uint64_t seed, std::size_t count) {
  std::mt19937_64 random(seed);
  const std::uint64_t sizes[] = {0, 1, 511, 512, 513, 10'239, 10'240, 10'241, 30'000};
  std::vector<Member> members;
  members.push_back(sample_member(MemberType::kDirectory, ""));
  for (std::size_t i = 0; i < count; ++i) {
    const std::string path = "m" + std::to_string(i) + std::string(random() % 20 == 0 ? 120 : 0, 'x');
    switch (random() % 8) {
      case 0:
        members.push_back(sample_member(MemberType::kDirectory, path));
        break;
      case 1:
        members.push_back(sample_member(MemberType::kSymlink, path));
        members.back().link_target = std::string(1 + random() % 150, 't');
        break;
      case 2: {
        std::vector<MemberExtent> extents;
        std::uint64_t at = random() % 3 * 512;
        for (std::uint64_t n = random() % 2 == 0 ? 3 : random() % 900; n > 0; --n) {
          extents.push_back({at, random() % 3 == 0 ? 1 + random() % 1500 : 512});
          at += extents.back().length + 1 + random() % 5000;
        }
        members.push_back(sample_sparse(path, at + random() % 2 * 100'000, extents));
        break;
      }
      default:
        members.push_back(sample_file(path, sizes[random() % std::size(sizes)]));
    }
    if (random() % 3 == 0) members.back().mtime_nanoseconds = 0;
    if (random() % 10 == 0) members.back().xattrs = {{"user.k", std::string(random() % 5000, 'v')}};
  }
  return members;
}

}  // namespace vzv::test
