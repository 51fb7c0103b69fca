// A segment of the repository, mapped from a verified local copy.
//
// Never mapped from the repository itself: a page that a network file system cannot deliver would end the process with
// SIGBUS. The copy lies in a directory of the local file system, under the segment's id, which is the SHA-256 of its
// bytes.
//
// A reader is immutable and thread-safe. The functions may run in several processes at once over one cache directory.
#pragma once

#include <memory>
#include <string>

#include "core/store/repository_dir.h"
#include "core/store/segment_format.h"

namespace vzv {

class SegmentReader {
 public:
  // Opens the cached copy, verified by its name; copies the segment from the repository where there is none or it is
  // not right. E_SEGMENT_DAMAGED names a segment that is not right in the repository either; nullptr where it is gone
  // from there.
  static Result<std::shared_ptr<const SegmentReader>> open(RepositoryDir& repository, RepositoryDir& cache,
                                                           const Id& segment);
  // The same for a segment whose bytes are at hand, because this process wrote them.
  static Result<std::shared_ptr<const SegmentReader>> put(RepositoryDir& cache, const Id& segment, ByteSpan bytes);

  ~SegmentReader();
  SegmentReader(const SegmentReader&) = delete;
  SegmentReader& operator=(const SegmentReader&) = delete;

  const Id& id() const { return id_; }
  const SegmentView& view() const { return view_; }
  // When the copy was made, since 1970: tells new segments from old ones.
  std::int64_t copied_ms() const { return copied_ms_; }
  // For who has gone through much of it: the pages that were looked at leave the resident set. They stay in the
  // kernel's cache, and come back by themselves.
  void release_pages() const;

 private:
  SegmentReader(const Id& id, void* mapping, std::size_t mapping_bytes, std::int64_t copied_ms)
      : id_(id), mapping_(mapping), mapping_bytes_(mapping_bytes), copied_ms_(copied_ms) {}
  // nullptr where the cache has no copy, or one that is not right. E_SEGMENT_DAMAGED where the copy is right, but no
  // segment.
  static Result<std::shared_ptr<const SegmentReader>> map(RepositoryDir& cache, const Id& segment);

  const Id id_;
  void* const mapping_;
  const std::size_t mapping_bytes_;
  const std::int64_t copied_ms_;
  SegmentView view_;
};

}  // namespace vzv
