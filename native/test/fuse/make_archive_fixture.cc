// make_archive_fixture REPOSITORY CACHE < TAR: stores a tar stream as an archive, data and metadata in packs and a
// segment of their own. Prints the `archiveTar` object of a mount spec, which is the `archiveTree` object too.

#include <unistd.h>

#include <iostream>
#include <nlohmann/json.hpp>
#include <string>

#include "core/base/limits.h"
#include "core/pipeline/archive_backup.h"
#include "core/store/chunk_writer.h"
#include "core/store/index.h"
#include "core/store/repository_dir.h"

namespace vzv {
namespace {

// So that a test can damage one pack and not the others.
constexpr std::uint64_t kPackTargetBytes = 8 * limits::kMiB;

nlohmann::json stream_json(const StreamMap& map) {
  return {{"sizeBytes", map.size_bytes}, {"levels", map.levels}, {"rootId", map.root.hex()}};
}

Status run(const std::string& repository_path, const std::string& cache) {
  const auto repository = RepositoryDir::open(repository_path);
  if (!repository.ok()) return repository.status();
  const auto index = Index::open(*repository, cache);
  if (!index.ok()) return index.status();
  ChunkWriterOptions options;
  options.pack_target_bytes = kPackTargetBytes;
  const auto writer = ChunkWriter::create(*repository, *index, options);
  if (!writer.ok()) return writer.status();
  ArchiveCounters counters;
  const CancelToken cancel;
  const Result<ArchiveMap> archive = backup_archive(STDIN_FILENO, **writer, {}, counters, cancel);
  if (!archive.ok()) return archive.status();
  VZV_TRY((*writer)->flush());
  std::cout
      << nlohmann::json{{"data", stream_json(archive->data)}, {"catalogue", stream_json(archive->catalogue)}}.dump()
      << std::endl;
  return Status();
}

}  // namespace
}  // namespace vzv

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: make_archive_fixture REPOSITORY CACHE < TAR\n";
    return 2;
  }
  const vzv::Status status = vzv::run(argv[1], argv[2]);
  if (status.ok()) return 0;
  std::cerr << vzv::code_name(status.code()) << ": " << status.message() << "\n";
  return 1;
}
