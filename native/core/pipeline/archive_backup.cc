#include "core/pipeline/archive_backup.h"

#include <utility>

#include "core/archive/catalogue.h"
#include "core/archive/member_index.h"
#include "core/archive/tar_reader.h"
#include "core/base/limits.h"
#include "core/chunk/fastcdc.h"
#include "core/pipeline/archive_input.h"
#include "core/pipeline/archive_stage.h"
#include "core/pipeline/workers.h"

namespace vzv {

namespace {

// Of large files. What one of them has in common with another version of it is long.
constexpr PieceSizes kLargeFilePieces{.least = 128 * limits::kKiB, .average_log2 = 19, .most = 2 * limits::kMiB};
// Of the small ones between them. Each place where a file came, went or changed costs about one piece: a package that
// is installed has dozens of such places, with little to store at each.
constexpr PieceSizes kSmallFilePieces{.least = 16 * limits::kKiB, .average_log2 = 16, .most = 256 * limits::kKiB};

// Collects the bytes of a piece until the content, or the end of a large file, ends it.
class DataCutter {
 public:
  DataCutter(ArchiveStage& stage, const GearTable& gear) : stage_(stage), gear_(gear) {}

  Status add(ByteSpan bytes) {
    while (!bytes.empty()) {
      const std::size_t count = cutter_.take(bytes);
      piece_.insert(piece_.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(count));
      bytes = bytes.subspan(count);
      if (cutter_.ended()) VZV_TRY(submit());
    }
    return {};
  }

  // The open piece ends here, those that follow are of these sizes.
  Status cut(const PieceSizes& sizes) {
    cutter_ = FastCdc(sizes, gear_);
    return piece_.empty() ? Status() : submit();
  }

 private:
  Status submit() { return stage_.submit(std::exchange(piece_, Bytes())); }

  ArchiveStage& stage_;
  const GearTable& gear_;
  FastCdc cutter_{kSmallFilePieces, gear_};
  Bytes piece_;
};

Status back_up_member(TarReader& tar, const Member& member, DataCutter& cutter) {
  const bool large = member.stored_bytes >= limits::kLargeFileBytes;
  if (large) VZV_TRY(cutter.cut(kLargeFilePieces));
  for (;;) {
    const Result<ByteSpan> bytes = tar.data();
    if (!bytes.ok()) return bytes.status();
    if (bytes->empty()) break;
    VZV_TRY(cutter.add(*bytes));
  }
  return large ? cutter.cut(kSmallFilePieces) : Status();
}

Status back_up_members(TarReader& tar, CatalogueWriter& catalogue, DataCutter& cutter, ArchiveCounters& counters) {
  MemberIndex index;
  Member member;
  for (;;) {
    const Result<bool> more = tar.next(member);
    if (!more.ok()) return more.status();
    if (!*more) break;
    if (index.repeats(member)) continue;
    const std::string problem = index.add(member);
    if (!problem.empty()) return tar.invalid("it " + problem);
    ++counters.members;
    VZV_TRY(catalogue.add(member));
    VZV_TRY(back_up_member(tar, member, cutter));
  }
  VZV_TRY(cutter.cut(kSmallFilePieces));
  return tar.drain();
}

}  // namespace

Result<ArchiveMap> backup_archive(int fd, ChunkWriter& writer, const ArchiveBackupOptions& options,
                                  ArchiveCounters& counters, const CancelToken& cancel) {
  ArchiveInput input(fd, options.limiter, counters.read_bytes, cancel);
  TarReader tar(input);
  CatalogueWriter catalogue(writer);
  ArchiveStage stage(writer, counters, cancel);
  VZV_TRY(stage.start(default_workers()));
  DataCutter cutter(stage, gear_table(writer.keys()));
  VZV_TRY(back_up_members(tar, catalogue, cutter, counters));
  Result<StreamMap> data = stage.finish();
  if (!data.ok()) return data.status();
  Result<StreamMap> members = catalogue.finish();
  if (!members.ok()) return members.status();
  return ArchiveMap{catalogue.members(), *data, *members};
}

}  // namespace vzv
