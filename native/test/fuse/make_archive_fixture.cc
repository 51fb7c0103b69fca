// make_archive_fixture REPOSITORY CACHE [unchecked] < TAR: stores a tar stream as an archive, data and metadata in
// packs and a segment of their own. Prints the `archiveTar` object of a mount spec, which is the `archiveTree` object
// too. Unchecked: whatever the order of the members, none of which has data; so that there are catalogues that cannot
// be.

#include <unistd.h>

#include <iostream>
#include <nlohmann/json.hpp>
#include <string>

#include "core/archive/catalogue.h"
#include "core/archive/tar_reader.h"
#include "core/pipeline/archive_backup.h"
#include "core/pipeline/archive_input.h"
#include "test/fuse/fixture_writer.h"

namespace vzv {
namespace {

nlohmann::json stream_json(const StreamMap& map) {
  return {{"sizeBytes", map.size_bytes}, {"levels", map.levels}, {"rootId", map.root.hex()}};
}

Result<ArchiveMap> catalogue_only(ChunkWriter& writer, ArchiveCounters& counters, const CancelToken& cancel) {
  ArchiveInput input(STDIN_FILENO, nullptr, counters.read_bytes, cancel);
  TarReader tar(input);
  CatalogueWriter catalogue(writer);
  Member member;
  for (;;) {
    const Result<bool> more = tar.next(member);
    if (!more.ok()) return more.status();
    if (!*more) break;
    VZV_TRY(catalogue.add(member));
  }
  VZV_TRY(tar.drain());
  Result<StreamMap> members = catalogue.finish();
  if (!members.ok()) return members.status();
  return ArchiveMap{catalogue.members(), StreamMap{}, *members};
}

Status run(const std::string& repository, const std::string& cache, bool checked) {
  const auto writer = test::open_fixture_writer(repository, cache);
  if (!writer.ok()) return writer.status();
  ArchiveCounters counters;
  const CancelToken cancel;
  const Result<ArchiveMap> archive = checked ? backup_archive(STDIN_FILENO, **writer, {}, counters, cancel)
                                             : catalogue_only(**writer, counters, cancel);
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
  const bool checked = argc == 3;
  if (!checked && (argc != 4 || std::string(argv[3]) != "unchecked")) {
    std::cerr << "usage: make_archive_fixture REPOSITORY CACHE [unchecked] < TAR\n";
    return 2;
  }
  const vzv::Status status = vzv::run(argv[1], argv[2], checked);
  return vzv::test::told(status);
}
