#include "core/store/segment_reader.h"

#include <sys/mman.h>
#include <sys/stat.h>

#include <cerrno>

#include "core/base/limits.h"
#include "core/base/sha256.h"

namespace vzv {

namespace {

Status damaged(const Id& segment, const Status& status) {
  return {status.code(), describe_segment(segment) + " (" + segment_name(segment) + "): " + status.message()};
}

// Copies the segment into the cache, refusing one whose bytes are not what its name says. False where it is gone from
// the repository.
Result<bool> copy(RepositoryDir& repository, RepositoryDir& cache, const Id& segment) {
  Result<UniqueFd> from = repository.open_read(segment_name(segment));
  if (!from.ok()) return from.status();
  if (!from->valid()) return false;
  Result<std::unique_ptr<NewFile>> to = cache.create();
  if (!to.ok()) return to.status();

  Sha256 hash;
  Bytes buffer(limits::kReadBufferBytes);
  Result<SegmentHeader> header(SegmentHeader{});
  for (std::uint64_t offset = 0;;) {
    const std::int64_t got = read_up_to_at(from->get(), offset, buffer);
    // A sector that is lost costs this segment, not the whole index.
    if (got == -EIO) return damaged(segment, {Code::E_SEGMENT_DAMAGED, "reading it: " + errno_text(EIO)});
    if (got < 0) return storage_errno(static_cast<int>(-got), "reading " + segment_name(segment));
    const ByteSpan piece = ByteSpan(buffer).first(static_cast<std::size_t>(got));
    if (offset == 0) header = decode_segment_header(piece);
    offset += piece.size();
    hash.update(piece);
    // A file that is longer than it should be must not fill the cache. One of an unknown suite is read to its end
    // without being kept: that is more often a damaged byte than a newer version, and its name tells.
    if (header.ok()) {
      if (offset > header->file_bytes())
        return damaged(segment, {Code::E_SEGMENT_DAMAGED, "it is longer than its header announces"});
      VZV_TRY((*to)->append(piece));
    } else if (header.status().code() != Code::E_SUITE_UNKNOWN) {
      return damaged(segment, header.status());
    }
    if (piece.size() < buffer.size()) break;
  }
  if (hash.finish() != segment) return damaged(segment, {Code::E_SEGMENT_DAMAGED, "its bytes do not match its name"});
  if (!header.ok()) return damaged(segment, header.status());
  VZV_TRY((*to)->publish_cached(segment.hex()));
  return true;
}

}  // namespace

void SegmentReader::release_pages() const { (void)::madvise(mapping_, mapping_bytes_, MADV_DONTNEED); }

SegmentReader::~SegmentReader() { ::munmap(mapping_, mapping_bytes_); }

Result<std::shared_ptr<const SegmentReader>> SegmentReader::map(RepositoryDir& cache, const Id& segment) {
  const std::shared_ptr<const SegmentReader> none;
  Result<UniqueFd> fd = cache.open_read(segment.hex());
  if (!fd.ok()) return fd.status();
  if (!fd->valid()) return none;
  struct stat status;
  if (::fstat(fd->get(), &status) != 0 || !S_ISREG(status.st_mode) || status.st_size < kSegmentHeaderBytes) return none;
  const auto length = static_cast<std::size_t>(status.st_size);
  void* const mapping = ::mmap(nullptr, length, PROT_READ, MAP_SHARED, fd->get(), 0);
  if (mapping == MAP_FAILED) return storage_errno(errno, "mapping " + cache.path() + "/" + segment.hex());
  std::shared_ptr<SegmentReader> reader(new SegmentReader(
      segment, mapping, length, std::int64_t{status.st_mtim.tv_sec} * 1000 + status.st_mtim.tv_nsec / 1'000'000));

  const ByteSpan bytes(static_cast<const std::uint8_t*>(mapping), length);
  (void)::madvise(mapping, length, MADV_SEQUENTIAL);
  if (sha256(bytes) != segment) return none;
  Result<SegmentView> view = SegmentView::parse(bytes);
  if (!view.ok()) return damaged(segment, view.status());
  if (const Status contents = view->check_contents(); !contents.ok()) return damaged(segment, contents);
  reader->view_ = *view;
  // Checking touched every page; lookups touch few, here and there. Those pages stay in the kernel's cache, not in our
  // resident set.
  reader->release_pages();
  (void)::madvise(mapping, length, MADV_RANDOM);
  return std::shared_ptr<const SegmentReader>(std::move(reader));
}

Result<std::shared_ptr<const SegmentReader>> SegmentReader::open(RepositoryDir& repository, RepositoryDir& cache,
                                                                 const Id& segment) {
  Result<std::shared_ptr<const SegmentReader>> cached = map(cache, segment);
  if (!cached.ok() || *cached != nullptr) return cached;
  Result<bool> copied = copy(repository, cache, segment);
  if (!copied.ok()) return copied.status();
  if (!*copied) return std::shared_ptr<const SegmentReader>();
  return map(cache, segment);
}

Result<std::shared_ptr<const SegmentReader>> SegmentReader::put(RepositoryDir& cache, const Id& segment,
                                                                ByteSpan bytes) {
  Result<std::unique_ptr<NewFile>> file = cache.create();
  if (!file.ok()) return file.status();
  VZV_TRY((*file)->append(bytes));
  VZV_TRY((*file)->publish_cached(segment.hex()));
  return map(cache, segment);
}

}  // namespace vzv
