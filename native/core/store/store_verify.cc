#include "core/store/store_verify.h"

#include <algorithm>
#include <set>

#include "core/base/limits.h"
#include "core/base/sha256.h"
#include "core/store/pack_reader.h"
#include "core/store/segment_format.h"

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

  // Answers the hash of the file, nullopt where it cannot be read (which is then a damage). Only E_CANCELLED is an
  // error.
  Result<std::optional<Id>> hash_file(const std::string& name, Code code, bool is_pack) {
    Result<UniqueFd> fd = dir_.open_read(name);
    if (!fd.ok() || !fd->valid()) {
      damage(fd.ok() ? Status(code, name + " disappeared") : fd.status());
      return std::optional<Id>();
    }
    Sha256 hash;
    for (std::uint64_t offset = 0;;) {
      VZV_TRY(cancel_.status());
      const std::int64_t got = read_up_to_at(fd->get(), offset, buffer_);
      if (got < 0) {
        damage(storage_errno(static_cast<int>(-got), "reading " + name));
        return std::optional<Id>();
      }
      const ByteSpan piece = ByteSpan(buffer_).first(static_cast<std::size_t>(got));
      hash.update(piece);
      offset += piece.size();
      if (is_pack) {
        report_.pack_bytes += piece.size();
        state_.processed_bytes += piece.size();
        if (progress_) progress_(state_);
      }
      if (piece.size() < buffer_.size()) return std::optional<Id>(hash.finish());
    }
  }

  Status check_pack(const Id& id) {
    ++report_.packs;
    Result<std::optional<Id>> hash = hash_file(pack_name(id), Code::E_PACK_MISSING, true);
    if (!hash.ok()) return hash.status();
    if (!*hash) return {};
    if (**hash != id) {
      damage({Code::E_PACK_DAMAGED, describe_pack(id) + " (" + pack_name(id) + "): its bytes do not match its name"});
    }
    Result<std::shared_ptr<PackReader>> pack = PackReader::open(dir_, id, options_.keys);
    Result<std::vector<PackEntry>> table = pack.ok() ? (*pack)->table() : pack.status();
    if (!table.ok()) {
      damage(table.status());
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
    for (const PackEntry& entry : table) {
      VZV_TRY(cancel_.status());
      plain.resize(entry.plain_bytes);
      if (const Status status = pack.read_chunk(entry, ordinal++, plain); !status.ok()) damage(status);
      ++report_.chunks;
    }
    return {};
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
    ++report_.segments;
    const std::string name = segment_name(id);
    Result<std::optional<Id>> hash = hash_file(name, Code::E_SEGMENT_DAMAGED, false);
    if (!hash.ok()) return hash.status();
    if (!*hash) return {};
    const std::string what = describe_segment(id) + " (" + name + "): ";
    if (**hash != id) {
      damage({Code::E_SEGMENT_DAMAGED, what + "its bytes do not match its name"});
      return {};
    }
    Result<std::optional<Bytes>> bytes = dir_.read(name, limits::kSegmentCheckMaxBytes);
    if (!bytes.ok() || !*bytes)
      return {};  // too large for memory: its name is right, its contents are checked where it is opened
    Result<SegmentView> view = SegmentView::parse(**bytes);
    const Status contents = view.ok() ? view->check_contents() : view.status();
    if (!contents.ok()) {
      damage({contents.code(), what + contents.message()});
      return {};
    }
    if (options_.keys != nullptr && view->suite() != suite_of(options_.keys.get())) {
      damage({Code::E_SUITE_MISMATCH, what + "it lists packs that are not encrypted, though the repository is"});
      return {};
    }
    for (std::uint32_t n = 0; n < view->packs(); ++n) {
      const Id pack = view->pack(n);
      if (packs_.contains(pack)) continue;
      // Packs were listed first, perhaps long ago: a backup may have written this one, and its segment, since.
      Result<std::optional<FileStatus>> status = dir_.status(pack_name(pack));
      if (status.ok() && *status) continue;
      damage({Code::E_PACK_MISSING,
              describe_pack(pack) + " is missing: " + what + "it lists chunks in " + pack_name(pack)});
    }
    return {};
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
