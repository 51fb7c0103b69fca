#include "core/store/store_verify.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <set>

#include "core/base/limits.h"
#include "core/base/sha256.h"
#include "core/store/lost_range.h"
#include "core/store/pack_reader.h"
#include "core/store/segment_check.h"

namespace vzv {

namespace {

using Progress = std::function<void(const VerifyProgress&)>;

class Verification {
 public:
  Verification(RepositoryDir& dir, const VerifyOptions& options, const Progress& progress, const CancelToken& cancel)
      : dir_(dir), options_(options), progress_(progress), cancel_(cancel), buffer_(limits::kReadBufferBytes) {}

  Result<VerifyReport> run() {
    if (!options_.packs || options_.segments) VZV_TRY(list_packs());
    if (options_.packs) {
      VZV_TRY(measure(*options_.packs));
      for (const Id& pack : *options_.packs) VZV_TRY(check_pack(pack));
    } else {
      VZV_TRY(measure({packs_.begin(), packs_.end()}));
      for (const Id& pack : packs_) VZV_TRY(check_pack(pack));
    }
    if (options_.segments) VZV_TRY(check_segments());
    if (progress_) progress_(state_);
    return std::move(report_);
  }

 private:
  void damage(Status status) {
    if (report_.damages.size() < limits::kDamagesListedMax) {
      report_.damages.push_back(std::move(status));
    } else {
      ++report_.damages_unlisted;
    }
  }

  Status list_packs() {
    Result<std::optional<std::vector<DirectoryEntry>>> prefixes = dir_.list("packs");
    if (!prefixes.ok()) return prefixes.status();
    if (!*prefixes) return {};
    for (const DirectoryEntry& prefix : **prefixes) {
      Result<std::optional<std::vector<DirectoryEntry>>> files = dir_.list("packs/" + prefix.name);
      if (!files.ok()) return files.status();
      if (!*files) continue;
      for (const DirectoryEntry& file : **files) {
        const std::optional<Id> id = Id::from_hex(file.name);
        if (!id || pack_name(*id) != "packs/" + prefix.name + "/" + file.name) continue;
        packs_.insert(*id);
      }
    }
    return {};
  }

  Status measure(const std::vector<Id>& packs) {
    for (const Id& pack : packs) {
      VZV_TRY(cancel_.status());
      Result<std::optional<FileStatus>> status = dir_.status(pack_name(pack));
      if (status.ok() && *status) state_.total_bytes += (*status)->size_bytes;
    }
    return {};
  }

  // Calls `visit` with the pieces of a file, from its beginning to its end or to an error: 0, or its errno. Only
  // E_CANCELLED is an error.
  template <typename Visit>
  Result<int> read_through(const UniqueFd& fd, Visit visit) {
    for (std::uint64_t offset = 0;;) {
      VZV_TRY(cancel_.status());
      const std::int64_t got = read_up_to_at(fd.get(), offset, buffer_);
      if (got < 0) return static_cast<int>(-got);
      const ByteSpan piece = ByteSpan(buffer_).first(static_cast<std::size_t>(got));
      visit(piece);
      offset += piece.size();
      if (piece.size() < buffer_.size()) return 0;
    }
  }

  Status check_pack(const Id& id) {
    ++report_.packs;
    const std::string name = pack_name(id);
    const Result<UniqueFd> fd = dir_.open_read(name);
    if (!fd.ok() || !fd->valid()) {
      damage(fd.ok() ? Status(Code::E_PACK_MISSING, name + " disappeared") : fd.status());
      return {};
    }
    Sha256 hash;
    const Result<int> error = read_through(*fd, [&](ByteSpan piece) {
      hash.update(piece);
      report_.pack_bytes += piece.size();
      state_.processed_bytes += piece.size();
      if (progress_) progress_(state_);
    });
    if (!error.ok()) return error.status();
    if (*error != 0) {
      damage(storage_errno(*error, "reading " + name));
      // A sector that is lost costs what lies in it: the rest is looked at all the same.
      if (*error != EIO || !options_.decode) return {};
    } else if (hash.finish() != id) {
      damage({Code::E_PACK_DAMAGED, describe_pack(id) + " (" + name + "): its bytes do not match its name"});
    }
    return check_parts(id, *error == 0);
  }

  // `is_read`: the file could be read from end to end.
  Status check_parts(const Id& id, bool is_read) {
    Result<std::shared_ptr<PackReader>> pack = PackReader::open(dir_, id, options_.keys);
    Result<std::vector<PackEntry>> table = pack.ok() ? (*pack)->table() : pack.status();
    if (!table.ok()) {
      const bool is_lost = options_.decode && table.status().code() == Code::E_STORAGE_IO &&
                           (pack.ok() ? state_of_table(dir_, id) : state_of_header(dir_, id)) == RangeState::kLost;
      if (is_lost) {
        damage({Code::E_PACK_DAMAGED, describe_pack(id) + " (" + pack_name(id) + "): its " +
                                          (pack.ok() ? "table" : "header") + " cannot be read: " + errno_text(EIO)});
      } else if (is_read || table.status().code() != Code::E_STORAGE_IO) {
        damage(table.status());
      }
      return {};
    }
    if (options_.decode || options_.keys != nullptr) {
      const Status readable = (*pack)->readable();
      if (readable.code() == Code::E_KEY_MISSING) return readable;
      if (!readable.ok()) {
        damage(readable);
        return {};
      }
    }
    if (options_.decode) return check_chunks(**pack, *table);
    report_.chunks += table->size();
    return {};
  }

  Status check_chunks(const PackReader& pack, const std::vector<PackEntry>& table) {
    Bytes plain;
    std::uint32_t ordinal = 0;
    bool is_away = false;
    for (const PackEntry& entry : table) {
      VZV_TRY(cancel_.status());
      plain.resize(entry.plain_bytes);
      Status status = pack.read_chunk(entry, ordinal++, plain);
      // Asked no more once the storage gave no answer, which may take it minutes.
      if (status.code() == Code::E_STORAGE_IO && !is_away) {
        const RangeState state = state_of_range(dir_, pack.id(), entry.offset, entry.stored_bytes);
        if (state == RangeState::kLost) status = lost_chunk(pack.id(), entry);
        is_away = state == RangeState::kUnknown;
      }
      if (!status.ok()) damage(std::move(status));
      ++report_.chunks;
    }
    return {};
  }

  static Status lost_chunk(const Id& pack, const PackEntry& entry) {
    return {Code::E_CHUNK_DAMAGED, describe_chunk(entry.id, entry.type) + " in " + describe_pack(pack) + " at offset " +
                                       std::to_string(entry.offset) + ": it cannot be read: " + errno_text(EIO)};
  }

  Status check_segments() {
    Result<std::optional<std::vector<DirectoryEntry>>> files = dir_.list("index");
    if (!files.ok()) return files.status();
    if (!*files) return {};
    for (const DirectoryEntry& file : **files) {
      const std::optional<Id> id = Id::from_hex(file.name);
      if (id) VZV_TRY(check_segment(*id));
    }
    return {};
  }

  Status check_segment(const Id& id) {
    const std::string name = segment_name(id);
    const std::string what = describe_segment(id) + " (" + name + "): ";
    const Result<UniqueFd> fd = dir_.open_read(name);
    struct stat status;
    if (!fd.ok()) damage(fd.status());
    // What is gone since it was listed was merged into another.
    if (!fd.ok() || !fd->valid()) return {};
    ++report_.segments;
    if (::fstat(fd->get(), &status) != 0) {
      damage(storage_errno(errno, "looking at " + name));
      return {};
    }
    Sha256 hash;
    SegmentCheck check(static_cast<std::uint64_t>(status.st_size));
    const Result<int> error = read_through(*fd, [&](ByteSpan piece) {
      hash.update(piece);
      check.add(piece);
    });
    if (!error.ok()) return error.status();
    if (*error != 0) {
      damage(storage_errno(*error, "reading " + name));
      return {};
    }
    if (hash.finish() != id) {
      damage({Code::E_SEGMENT_DAMAGED, what + "its bytes do not match its name"});
      return {};
    }
    if (const Status contents = check.finish(); !contents.ok()) {
      damage({contents.code(), what + contents.message()});
      return {};
    }
    if (options_.keys != nullptr && check.header().suite != suite_of(options_.keys.get())) {
      damage({Code::E_SUITE_MISMATCH, what + "it lists packs that are not encrypted, though the repository is"});
      return {};
    }
    return check_listed_packs(*fd, name, what, check.header().packs);
  }

  // That they are there. Read once more, and not kept while the segment is checked: they are few beside the entries,
  // and what they are is believed only of a segment that is right.
  Status check_listed_packs(const UniqueFd& fd, const std::string& name, const std::string& what, std::uint64_t count) {
    constexpr std::uint64_t kIdBytes = sizeof(Id::bytes);
    const std::uint64_t most = buffer_.size() / kIdBytes;
    for (std::uint64_t first = 0; first < count; first += most) {
      VZV_TRY(cancel_.status());
      const std::span<std::uint8_t> ids = std::span(buffer_).first(kIdBytes * std::min(most, count - first));
      if (const int error = read_exactly_at(fd.get(), kSegmentHeaderBytes + kIdBytes * first, ids); error != 0) {
        damage(storage_errno(error, "reading " + name));
        return {};
      }
      for (ByteReader reader(ids); reader.remaining() > 0;) check_listed_pack(reader.id(), what);
    }
    return {};
  }

  void check_listed_pack(const Id& pack, const std::string& what) {
    if (packs_.contains(pack)) return;
    // Packs were listed first, perhaps long ago: a backup may have written this one, and its segment, since.
    const Result<std::optional<FileStatus>> status = dir_.status(pack_name(pack));
    if (!status.ok()) return damage(status.status());
    if (status.value()) return;
    damage(
        {Code::E_PACK_MISSING, describe_pack(pack) + " is missing: " + what + "it lists chunks in " + pack_name(pack)});
  }

  RepositoryDir& dir_;
  const VerifyOptions& options_;
  const Progress& progress_;
  const CancelToken& cancel_;
  Bytes buffer_;
  std::set<Id> packs_;
  VerifyProgress state_;
  VerifyReport report_;
};

}  // namespace

Result<VerifyReport> verify_packs(RepositoryDir& dir, const VerifyOptions& options, const Progress& progress,
                                  const CancelToken& cancel) {
  return Verification(dir, options, progress, cancel).run();
}

}  // namespace vzv
