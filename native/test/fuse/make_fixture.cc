// Stores files as volumes of a repository, for the tests of vzvault-fuse:
//
//   make_fuse_fixture REPOSITORY CACHE CHUNK_SIZE_BYTES NAME=FILE…
//
// prints a JSON list of the `volume` objects of a mount spec, each with its name. Holes of a file are not read. Each
// volume's data goes into packs of 8 MiB, so that a test can damage one pack and not the others.

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>

#include "core/base/file.h"
#include "core/base/sha256.h"
#include "core/chunk/volume_geometry.h"
#include "core/chunk/zero.h"
#include "core/store/map_writer.h"
#include "test/fuse/fixture_writer.h"

namespace vzv {
namespace {

struct Volume {
  VolumeGeometry geometry;
  Id root;
};

// The first byte of data at or after `offset`; `size_bytes` where there is none.
std::uint64_t next_data(int fd, std::uint64_t offset, std::uint64_t size_bytes) {
  const off_t found = lseek(fd, static_cast<off_t>(offset), SEEK_DATA);
  return found < 0 ? size_bytes : static_cast<std::uint64_t>(found);
}

Result<Volume> store(const std::string& path, std::uint32_t chunk_size_bytes, ChunkWriter& writer) {
  const UniqueFd file = open_at(AT_FDCWD, path.c_str(), O_RDONLY);
  if (!file.valid()) return storage_errno(errno, "opening " + path);
  const auto size_bytes = static_cast<std::uint64_t>(lseek(file.get(), 0, SEEK_END));
  const Result<VolumeGeometry> geometry = VolumeGeometry::make(size_bytes, chunk_size_bytes);
  if (!geometry.ok()) return geometry.status();

  MapWriter map(*geometry, writer);
  for (std::uint64_t number = 0; number < geometry->chunk_count(); ++number) {
    number = std::max(number, next_data(file.get(), geometry->chunk_offset(number), size_bytes) / chunk_size_bytes);
    if (number >= geometry->chunk_count()) break;
    Bytes plain(geometry->chunk_length(number));
    if (const int error = read_exactly_at(file.get(), geometry->chunk_offset(number), plain)) {
      return storage_errno(error, "reading " + path);
    }
    if (is_zero(plain)) continue;
    const Id id = sha256(plain);
    const Result<PutResult> put = writer.put(ChunkType::kData, id, plain);
    if (!put.ok()) return put.status();
    VZV_TRY(map.set(number, id));
  }
  const Result<Id> root = map.finish();
  if (!root.ok()) return root.status();
  return Volume{*geometry, *root};
}

Status run(const std::string& repository, const std::string& cache, std::uint32_t chunk_size_bytes,
           const std::vector<std::string>& sources) {
  const auto writer = test::open_fixture_writer(repository, cache);
  if (!writer.ok()) return writer.status();

  nlohmann::json volumes = nlohmann::json::array();
  for (const std::string& source : sources) {
    const std::size_t equals = source.find('=');
    if (equals == std::string::npos) return Status(Code::E_ARGUMENT_INVALID, source + " is not NAME=FILE");
    const Result<Volume> volume = store(source.substr(equals + 1), chunk_size_bytes, **writer);
    if (!volume.ok()) return volume.status();
    // One segment a volume, too.
    VZV_TRY((*writer)->flush());
    volumes.push_back({{"name", source.substr(0, equals)},
                       {"volume",
                        {{"sizeBytes", volume->geometry.size_bytes},
                         {"chunkSizeBytes", volume->geometry.chunk_size_bytes},
                         {"levels", volume->geometry.levels()},
                         {"rootId", volume->root.hex()}}}});
  }
  std::cout << volumes.dump() << std::endl;
  return Status();
}

}  // namespace
}  // namespace vzv

int main(int argc, char** argv) {
  if (argc < 5) {
    std::cerr << "usage: make_fuse_fixture REPOSITORY CACHE CHUNK_SIZE_BYTES NAME=FILE...\n";
    return 2;
  }
  const auto chunk_size_bytes = static_cast<std::uint32_t>(std::strtoul(argv[3], nullptr, 10));
  const vzv::Status status = vzv::run(argv[1], argv[2], chunk_size_bytes, {argv + 4, argv + argc});
  return vzv::test::told(status);
}
