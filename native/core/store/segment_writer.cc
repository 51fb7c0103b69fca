#include "core/store/segment_writer.h"

#include <algorithm>

#include "core/base/sha256.h"
#include "core/store/segment_format.h"

namespace vzv {

Result<WrittenSegment> write_segment(RepositoryDir& dir, Suite suite, const std::vector<FinishedPack>& packs) {
  std::vector<Id> ids;
  for (const FinishedPack& pack : packs) ids.push_back(pack.id);
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());

  std::vector<SegmentEntry> entries;
  for (const FinishedPack& pack : packs) {
    const auto position = std::lower_bound(ids.begin(), ids.end(), pack.id) - ids.begin();
    std::uint32_t ordinal = 0;
    for (const PackEntry& entry : pack.entries) {
      entries.push_back({entry.id, static_cast<std::uint32_t>(position), ordinal++,
                         static_cast<std::uint32_t>(entry.offset), entry.stored_bytes, entry.plain_bytes, entry.type,
                         entry.codec});
    }
  }
  std::sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) { return a.key() < b.key(); });
  const auto same = [](const auto& a, const auto& b) { return a.key() == b.key(); };
  entries.erase(std::unique(entries.begin(), entries.end(), same), entries.end());

  WrittenSegment segment;
  segment.bytes = encode_segment(suite, new_salt(), ids, entries);
  segment.id = sha256(segment.bytes);
  const Status put = dir.put_if_absent(segment_name(segment.id), segment.bytes);
  if (!put.ok() && put.code() != Code::E_NAME_TAKEN) return put;
  return segment;
}

}  // namespace vzv
