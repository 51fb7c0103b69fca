#include "test/support/scratch.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <stdexcept>

#include "core/base/file.h"
#include "test/support/child_process.h"

namespace vzv::test {

namespace {

[[noreturn]] void fail(const std::string& what) { throw std::runtime_error(what + ": " + errno_text(errno)); }

struct stat status_of(const std::string& path) {
  struct stat status;
  if (::stat(path.c_str(), &status) != 0) fail(path);
  return status;
}

}  // namespace

Bytes random_pattern(std::size_t length, std::uint64_t seed) {
  Bytes bytes(length + 8);
  std::uint64_t state = seed * 0x9E37'79B9'7F4A'7C15 + 0xD1B5'4A32'D192'ED03;
  for (std::size_t at = 0; at < length; at += 8) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    std::memcpy(bytes.data() + at, &state, 8);
  }
  bytes.resize(length);
  return bytes;
}

ScratchDirectory::ScratchDirectory() {
  // Not /tmp by name: a test may need a file system with holes and room, which TMPDIR can point to.
  const char* base = ::getenv("TMPDIR");
  path_ = std::string(base != nullptr ? base : "/tmp") + "/vzvault-test-XXXXXX";
  if (::mkdtemp(path_.data()) == nullptr) fail(path_);
}

ScratchDirectory::~ScratchDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

void write_sparse(const std::string& path, std::uint64_t size_bytes, const std::vector<Piece>& pieces) {
  const UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!fd.valid() || ::ftruncate(fd.get(), static_cast<off_t>(size_bytes)) != 0) fail(path);
  for (const Piece& piece : pieces) {
    for (std::size_t done = 0; done < piece.bytes.size();) {
      const ssize_t written = ::pwrite(fd.get(), piece.bytes.data() + done, piece.bytes.size() - done,
                                       static_cast<off_t>(piece.offset + done));
      if (written <= 0) fail(path);
      done += static_cast<std::size_t>(written);
    }
  }
}

void write_file(const std::string& path, ByteSpan bytes) {
  write_sparse(path, bytes.size(), {{0, Bytes(bytes.begin(), bytes.end())}});
}

Bytes read_file(const std::string& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) fail(path);
  Bytes bytes(static_cast<std::size_t>(::lseek(fd.get(), 0, SEEK_END)));
  if (read_exactly_at(fd.get(), 0, bytes) != 0) fail(path);
  return bytes;
}

std::uint64_t file_size(const std::string& path) { return static_cast<std::uint64_t>(status_of(path).st_size); }

std::uint64_t allocated_bytes(const std::string& path) {
  return static_cast<std::uint64_t>(status_of(path).st_blocks) * 512;
}

LoopDevice::LoopDevice(const std::string& file) : path_(output_of({"losetup", "--find", "--show", file})) {}

LoopDevice::~LoopDevice() {
  try {
    run({"losetup", "--detach", path_});
  } catch (const std::exception&) {
    // A destructor can only leave it.
  }
}

Mount::Mount(std::vector<std::string> arguments, std::string directory) : directory_(std::move(directory)) {
  std::filesystem::create_directories(directory_);
  arguments.insert(arguments.begin(), "mount");
  arguments.push_back(directory_);
  run(arguments);
}

Mount::~Mount() { ::umount2(directory_.c_str(), MNT_DETACH); }

}  // namespace vzv::test
