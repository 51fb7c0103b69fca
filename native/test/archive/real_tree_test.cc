// Trees as containers have them, read by real GNU tar in all its formats, and compared with the file system. Needs
// root.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <filesystem>
#include <map>
#include <set>

#include "core/archive/acl.h"
#include "test/archive/archive_fixture.h"
#include "test/support/child_process.h"

using namespace vzv;
using namespace vzv::test;

namespace {

// What PVE gives tar (PVE::Storage::Plugin, COMMON_TAR_FLAGS).
constexpr const char* kPveFlags =
    "--one-file-system -p --sparse --numeric-owner --acls --xattrs --xattrs-include='user.*' "
    "--xattrs-include='security.capability' --warning=no-file-ignored --warning=no-xattr-write";

void set_time(const std::string& path, std::int64_t seconds, long nanoseconds) {
  const timespec times[2] = {{seconds, nanoseconds}, {seconds, nanoseconds}};
  REQUIRE(::utimensat(AT_FDCWD, path.c_str(), times, AT_SYMLINK_NOFOLLOW) == 0);
}

void set_xattr(const std::string& path, const char* name, const std::string& value) {
  REQUIRE(::setxattr(path.c_str(), name, value.data(), value.size(), 0) == 0);
}

// What every dialect of tar can say.
void make_plain_tree(const std::string& root) {
  namespace fs = std::filesystem;
  fs::create_directories(root + "/etc/empty");
  write_file(root + "/etc/hostname", random_pattern(12, 1));
  write_file(root + "/etc/nothing", {});
  write_file(root + "/large", random_pattern(5'000'000, 2));
  write_file(root + "/zeroes", Bytes(3'000'000, 0));
  for (const std::size_t size : {511UL, 512UL, 513UL, 262'143UL, 262'144UL}) {
    write_file(root + "/size-" + std::to_string(size), random_pattern(size, size));
  }
  fs::create_hard_link(root + "/large", root + "/twin");
  fs::create_symlink("../nowhere/./at all", root + "/etc/link");
  REQUIRE(::mkfifo((root + "/fifo").c_str(), 0640) == 0);
  REQUIRE(::mknod((root + "/null").c_str(), S_IFCHR | 0666, makedev(1, 3)) == 0);
  REQUIRE(::mknod((root + "/disk").c_str(), S_IFBLK | 0660, makedev(259, 1'000)) == 0);
  REQUIRE(::chown((root + "/etc/hostname").c_str(), 1000, 100) == 0);
  REQUIRE(::lchown((root + "/etc/link").c_str(), 33, 33) == 0);
  REQUIRE(::chmod((root + "/etc/hostname").c_str(), 06711) == 0);
  REQUIRE(::chmod((root + "/etc/empty").c_str(), 01777) == 0);
  write_file(root + "/a\nb \xff\xfe\\ '\"", random_pattern(10, 3));
  set_time(root + "/etc/nothing", 1'000'000'000, 0);
}

// What needs GNU's or POSIX's extensions.
void add_long_names_and_holes(const std::string& root) {
  namespace fs = std::filesystem;
  std::string deep = root;
  for (int i = 0; i < 12; ++i) {
    deep += "/" + std::string(100, static_cast<char>('a' + i));
    fs::create_directory(deep);
  }
  write_file(deep + "/" + std::string(255, 'n'), random_pattern(20, 4));
  fs::create_symlink(std::string(4'000, 't'), root + "/far");
  fs::create_hard_link(deep + "/" + std::string(255, 'n'), root + "/near");
  write_sparse(root + "/one hole", 50'000'000, {});
  write_sparse(root + "/holes", 100'000'000,
               {{0, random_pattern(4096, 5)}, {40'000'000, random_pattern(100'000, 6)}, {99'999'000, Bytes(1000, 7)}});
  std::vector<test::Piece> pieces;
  for (std::uint64_t n = 0; n < 600; ++n) pieces.push_back({n * 65'536, random_pattern(4096, n)});
  write_sparse(root + "/many holes", 600 * 65'536, pieces);
  write_sparse(root + "/terabytes", 3ULL << 40, {{2ULL << 40, random_pattern(5000, 8)}});
  REQUIRE(::chown((root + "/holes").c_str(), 2'147'483'000, 2'147'483'001) == 0);
}

// What only pax can say.
void add_attributes(const std::string& root) {
  set_time(root + "/etc/hostname", 1'600'000'000, 123'456'789);
  set_time(root + "/etc/link", -5, 999'999'999);
  set_time(root + "/etc", 1'700'000'000, 1);
  set_xattr(root + "/etc/hostname", "user.comment", "some\nthing");
  set_xattr(root + "/etc/hostname", "user.with=and%", std::string("\0\1=", 3));
  set_xattr(root + "/etc/hostname", "user.empty", "");
  set_xattr(root + "/large", "security.capability", std::string("\1\0\0\2\0\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20));
  set_xattr(root + "/etc", "user.directory", "yes");
  run({"setfacl", "-m", "u:root:rx,u:12345:r,g:0:w", root + "/size-512"});
  run({"setfacl", "-m", "u:12345:rwx,d:u:12345:rx,d:g:games:r", root + "/etc/empty"});
}

Bytes contents_of(const Member& member, const Bytes& stored) {
  if (!member.sparse) return stored;
  Bytes contents(member.size_bytes, 0);
  std::size_t at = 0;
  for (const MemberExtent& extent : member.extents) {
    std::copy_n(stored.begin() + static_cast<std::ptrdiff_t>(at), extent.length,
                contents.begin() + static_cast<std::ptrdiff_t>(extent.offset));
    at += extent.length;
  }
  return contents;
}

std::map<std::string, std::string> xattrs_of(const std::string& path) {
  std::string names(65'536, '\0');
  names.resize(static_cast<std::size_t>(std::max<ssize_t>(0, ::llistxattr(path.c_str(), names.data(), names.size()))));
  std::map<std::string, std::string> xattrs;
  for (std::size_t at = 0; at < names.size(); at = names.find('\0', at) + 1) {
    const std::string name = names.c_str() + at;
    std::string value(65'536, '\0');
    value.resize(static_cast<std::size_t>(::lgetxattr(path.c_str(), name.c_str(), value.data(), value.size())));
    xattrs[name] = value;
  }
  return xattrs;
}

// The kernel's binary form (linux/posix_acl_xattr.h).
std::string binary_acl(const std::string& text) {
  if (text.empty()) return {};
  const auto entries = parse_acl(text);
  REQUIRE(entries);
  std::string bytes("\2\0\0\0", 4);
  const auto put = [&](std::uint32_t value, int width) {
    for (int i = 0; i < width; ++i) bytes += static_cast<char>(value >> (8 * i));
  };
  for (const AclEntry& entry : *entries) {
    put(static_cast<std::uint16_t>(entry.tag), 2);
    put(entry.permissions, 2);
    put(entry.tag == AclTag::kUser || entry.tag == AclTag::kGroup ? entry.id : UINT32_MAX, 4);
  }
  return bytes;
}

void check_attributes(const Member& member, const std::string& path) {
  std::map<std::string, std::string> stored;
  for (const Xattr& xattr : member.xattrs) stored[xattr.name] = xattr.value;
  if (!member.acl_access.empty()) stored["system.posix_acl_access"] = binary_acl(member.acl_access);
  if (!member.acl_default.empty()) stored["system.posix_acl_default"] = binary_acl(member.acl_default);
  CHECK(stored == xattrs_of(path));
}

void check_content(const Member& member, const Bytes& stored, const std::string& root, const struct stat& status) {
  const std::string path = root + "/" + member.path;
  switch (member.type) {
    case MemberType::kFile:
      CHECK(member.size_bytes == static_cast<std::uint64_t>(status.st_size));
      if (member.size_bytes < (1 << 30)) CHECK(contents_of(member, stored) == read_file(path));
      return;
    case MemberType::kSymlink:
      CHECK(member.link_target == std::filesystem::read_symlink(path).string());
      return;
    case MemberType::kHardLink:
      CHECK(std::filesystem::equivalent(path, root + "/" + member.link_target));
      return;
    case MemberType::kCharDevice:
    case MemberType::kBlockDevice:
      CHECK(member.device_major == major(status.st_rdev));
      CHECK(member.device_minor == minor(status.st_rdev));
      return;
    default:
      return;
  }
}

struct Expectation {
  bool nanoseconds = true;
  bool attributes = true;
};

void check_archive(Store& store, const ArchiveMap& archive, const std::string& root, Expectation expected) {
  std::set<std::string> paths = {""};
  for (const auto& entry : std::filesystem::recursive_directory_iterator(root)) {
    paths.insert(entry.path().lexically_relative(root).string());
  }
  read_archive(store, archive, [&](const Member& member, const Bytes& stored) {
    CAPTURE(printable(member.path));
    CHECK(paths.erase(member.path) == 1);
    struct stat status {};
    const std::string path = root + "/" + member.path;
    REQUIRE(::lstat(path.c_str(), &status) == 0);
    if (member.type != MemberType::kHardLink) CHECK((status.st_mode & S_IFMT) == file_type_bits(member.type));
    CHECK(member.mode == (status.st_mode & 07777));
    CHECK(member.uid == status.st_uid);
    CHECK(member.gid == status.st_gid);
    if (expected.nanoseconds) CHECK(member.mtime_seconds == status.st_mtim.tv_sec);
    if (expected.nanoseconds) CHECK(member.mtime_nanoseconds == status.st_mtim.tv_nsec);
    check_content(member, stored, root, status);
    // tar says these of the first of several names only.
    if (expected.attributes && member.type != MemberType::kHardLink) check_attributes(member, path);
  });
  CHECK(paths.empty());
}

void check_format(const std::string& root, const std::string& flags, Expectation expected) {
  CAPTURE(flags);
  Store store;
  const Bytes tar = bytes_of_command("LC_ALL=C tar -c " + flags + " -C '" + root + "' ./");
  const ArchiveMap archive = must_back_up(store, tar);
  check_archive(store, archive, root, expected);
}

}  // namespace

TEST_CASE("a tree with everything, with the flags of PVE") {
  ScratchDirectory scratch;
  make_plain_tree(scratch.path());
  add_long_names_and_holes(scratch.path());
  add_attributes(scratch.path());
  check_format(scratch.path(), kPveFlags, {});
  check_format(scratch.path(), std::string(kPveFlags) + " --format=pax", {});
}

TEST_CASE("a tree in the formats that tar has beside") {
  ScratchDirectory scratch;
  make_plain_tree(scratch.path());
  const Expectation plain{.nanoseconds = false, .attributes = false};
  for (const char* format : {"ustar", "gnu", "pax", "v7"}) {
    // V7 knows no devices and no fifos.
    const std::string only = format == std::string("v7") ? " --exclude=./null --exclude=./disk --exclude=./fifo" : "";
    if (!only.empty()) {
      for (const char* name : {"/null", "/disk", "/fifo"}) std::filesystem::remove(scratch.path() + name);
    }
    check_format(scratch.path(), std::string("--format=") + format + only, plain);
  }
}

TEST_CASE("sources that overlap, and file systems that are mounted, are told of once") {
  ScratchDirectory scratch;
  const std::string& root = scratch.path();
  make_plain_tree(root);
  std::filesystem::create_directory(root + "/etc/mounted");
  REQUIRE(::mount("none", (root + "/etc/mounted").c_str(), "tmpfs", 0, nullptr) == 0);
  write_file(root + "/etc/mounted/file", random_pattern(1'000, 9));
  REQUIRE(::chmod((root + "/etc/mounted").c_str(), 0711) == 0);
  set_time(root + "/etc/mounted", 1'600'000'000, 5);
  Store store;
  const Bytes tar = bytes_of_command("LC_ALL=C tar -c --format=posix " + std::string(kPveFlags) + " -C '" + root +
                                     "' ./ ./etc/mounted ./etc ./large");
  const ArchiveMap archive = must_back_up(store, tar);
  check_archive(store, archive, root, {});
  REQUIRE(::umount((root + "/etc/mounted").c_str()) == 0);
}

TEST_CASE("holes and long names in the formats that tar has beside") {
  ScratchDirectory scratch;
  make_plain_tree(scratch.path());
  add_long_names_and_holes(scratch.path());
  for (const char* flags : {"--format=gnu", "--format=oldgnu", "--format=pax --sparse-version=0.0",
                            "--format=pax --sparse-version=0.1", "--format=pax --sparse-version=1.0"}) {
    check_format(scratch.path(), std::string("--sparse ") + flags, {.nanoseconds = false, .attributes = false});
  }
}
