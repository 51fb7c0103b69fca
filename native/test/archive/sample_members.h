// Members of every kind for tests.
#pragma once

#include <random>
#include <string>
#include <vector>

#include "core/archive/member.h"
#include "core/base/limits.h"

namespace vzv::test {

inline Member sample_member(MemberType type, std::string path) {
  Member member;
  member.type = type;
  member.path = std::move(path);
  member.mode = 0755;
  member.uid = 100'000;
  member.gid = 65'534;
  member.mtime_seconds = 1'795'000'000;
  member.mtime_nanoseconds = 123'456'789;
  return member;
}

inline Member sample_file(std::string path, std::uint64_t size_bytes) {
  Member member = sample_member(MemberType::kFile, std::move(path));
  member.size_bytes = member.stored_bytes = size_bytes;
  return member;
}

inline Member sample_sparse(std::string path, std::uint64_t size_bytes, std::vector<MemberExtent> extents) {
  Member member = sample_file(std::move(path), size_bytes);
  member.sparse = true;
  member.stored_bytes = 0;
  for (const MemberExtent& extent : extents) member.stored_bytes += extent.length;
  member.extents = std::move(extents);
  return member;
}

// One of each kind, in an order in which paths share beginnings.
inline std::vector<Member> sample_members() {
  std::vector<Member> members;
  members.push_back(sample_member(MemberType::kDirectory, ""));
  members.push_back(sample_member(MemberType::kDirectory, "etc"));
  members.push_back(sample_file("etc/hostname", 12));
  members.push_back(sample_file("etc/hosts", 0));
  members.back().mtime_seconds = -1;
  members.back().mtime_nanoseconds = 0;
  members.push_back(sample_file("etc/\n \xff\xfe", 700'000));
  members.back().xattrs = {{"security.capability", std::string("\1\0\0\2", 4)}, {"user.empty", ""}};
  members.back().acl_access = "user::rw-,user:1000:r--,group::r--,mask::r--,other::---";
  members.push_back(sample_member(MemberType::kDirectory, "etc/conf.d"));
  members.back().mode = 07777;
  members.back().acl_default = "user::rwx,group::r-x,other::---";
  members.push_back(sample_member(MemberType::kSymlink, "etc/mtab"));
  members.back().link_target = "../proc/self/mounts";
  members.push_back(sample_member(MemberType::kHardLink, "etc/twin"));
  members.back().link_target = "etc/hostname";
  members.push_back(sample_member(MemberType::kCharDevice, "dev/null"));
  members.back().device_major = 1;
  members.back().device_minor = 3;
  members.push_back(sample_member(MemberType::kBlockDevice, "dev/loop0"));
  members.back().device_major = 7;
  members.back().uid = UINT32_MAX;
  members.push_back(sample_member(MemberType::kFifo, "run/initctl"));
  members.push_back(sample_sparse("var/sparse", 1ULL << 40, {{0, 4096}, {1 << 20, 1}, {(1ULL << 40) - 5, 5}}));
  members.push_back(sample_sparse("var/hole", 1 << 20, {}));
  return members;
}

// A path of some components, from few names, so that many share their beginnings.
inline std::string sample_path(std::mt19937_64& random) {
  std::string path;
  const auto depth = 1 + random() % 5;
  for (std::uint64_t i = 0; i < depth; ++i) path += (i == 0 ? "" : "/") + std::to_string(random() % 50);
  return path;
}

}  // namespace vzv::test
