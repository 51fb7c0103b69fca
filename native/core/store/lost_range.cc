#include "core/store/lost_range.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "core/base/limits.h"
#include "core/store/pack_format.h"

namespace vzv {

namespace {

constexpr std::uint64_t kProbeBytes = 48;
static_assert(kProbeBytes <= kPackHeaderBytes && kProbeBytes <= kPackTrailerBytes);

class OpenPack {
 public:
  static Result<OpenPack> open(RepositoryDir& dir, const Id& pack) {
    Result<UniqueFd> fd = dir.open_read(pack_name(pack));
    if (!fd.ok()) return fd.status();
    struct stat status;
    const bool is_file = fd->valid() && ::fstat(fd->get(), &status) == 0 && S_ISREG(status.st_mode);
    if (!is_file || status.st_size < kPackHeaderBytes + kPackTrailerBytes)
      return Status(Code::E_PACK_DAMAGED, describe_pack(pack) + " is gone, or no pack");
    return OpenPack(std::move(*fd), static_cast<std::uint64_t>(status.st_size));
  }

  std::uint64_t file_bytes() const { return file_bytes_; }

  RangeState state(std::uint64_t offset, std::uint64_t length) const {
    const int error = error_of(offset, length);
    if (error == 0) return RangeState::kReadable;
    return error == EIO && delivers_beside(offset, length) ? RangeState::kLost : RangeState::kUnknown;
  }

  // 0 or an errno.
  int read(std::uint64_t offset, std::span<std::uint8_t> buffer) const {
    // Clean pages go, so that what follows is read from the disk or the server.
    (void)::posix_fadvise(fd_.get(), 0, 0, POSIX_FADV_DONTNEED);
    return read_exactly_at(fd_.get(), offset, buffer);
  }

 private:
  OpenPack(UniqueFd fd, std::uint64_t file_bytes) : fd_(std::move(fd)), file_bytes_(file_bytes) {}

  int error_of(std::uint64_t offset, std::uint64_t length) const {
    Bytes buffer(std::min<std::uint64_t>(length, limits::kReadBufferBytes));
    for (std::uint64_t done = 0; done < length;) {
      const std::uint64_t now = std::min<std::uint64_t>(length - done, buffer.size());
      if (const int error = read(offset + done, std::span(buffer).first(now)); error != 0) return error;
      done += now;
    }
    return 0;
  }

  // Few places, since each may take as long as the storage's time limit.
  bool delivers_beside(std::uint64_t offset, std::uint64_t length) const {
    const std::array places{std::uint64_t{0}, file_bytes_ - kProbeBytes, (file_bytes_ - kProbeBytes) / 2};
    std::array<std::uint8_t, kProbeBytes> bytes{};
    return std::any_of(places.begin(), places.end(), [&](std::uint64_t place) {
      const bool is_beside = place + kProbeBytes <= offset || place >= offset + length;
      return is_beside && read(place, bytes) == 0;
    });
  }

  UniqueFd fd_;
  std::uint64_t file_bytes_;
};

}  // namespace

RangeState state_of_range(RepositoryDir& dir, const Id& pack, std::uint64_t offset, std::uint64_t length) {
  // Opened anew: that alone asks the server of a network file system.
  const Result<OpenPack> open = OpenPack::open(dir, pack);
  return open.ok() ? open->state(offset, length) : RangeState::kUnknown;
}

RangeState state_of_header(RepositoryDir& dir, const Id& pack) {
  return state_of_range(dir, pack, 0, kPackHeaderBytes);
}

RangeState state_of_table(RepositoryDir& dir, const Id& pack) {
  const Result<OpenPack> open = OpenPack::open(dir, pack);
  if (!open.ok()) return RangeState::kUnknown;
  const std::uint64_t trailer_at = open->file_bytes() - kPackTrailerBytes;
  Bytes bytes(kPackTrailerBytes);
  if (open->read(trailer_at, bytes) != 0) return open->state(trailer_at, kPackTrailerBytes);
  const Result<PackTrailer> trailer = decode_pack_trailer(bytes, open->file_bytes());
  if (!trailer.ok()) return RangeState::kReadable;
  return open->state(trailer_at - trailer->table_bytes, trailer->table_bytes);
}

}  // namespace vzv
