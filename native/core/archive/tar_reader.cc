#include "core/archive/tar_reader.h"

#include <algorithm>
#include <utility>

#include "core/archive/sparse_map.h"
#include "core/base/limits.h"
#include "core/chunk/zero.h"

namespace vzv {

namespace {

constexpr std::uint32_t kModeBits = 07777;

std::size_t padding_behind(std::uint64_t size_bytes) {
  return static_cast<std::size_t>((kTarBlockBytes - size_bytes % kTarBlockBytes) % kTarBlockBytes);
}

// Without "./", empty components and a '/' at the end. Components of ".." stay, for the check of the path to refuse.
std::string plain_path(std::string_view name) {
  std::string path;
  while (!name.empty()) {
    const std::string_view component = name.substr(0, name.find('/'));
    name.remove_prefix(std::min(name.size(), component.size() + 1));
    if (component.empty() || component == ".") continue;
    if (!path.empty()) path += '/';
    path += component;
  }
  return path;
}

Result<MemberType> type_of(char type, std::string_view name) {
  switch (type) {
    case '0':
      // Before there was a type for directories, their names ended so.
      return name.ends_with('/') ? MemberType::kDirectory : MemberType::kFile;
    case '7':
    case 'S':
      return MemberType::kFile;
    case '1':
      return MemberType::kHardLink;
    case '2':
      return MemberType::kSymlink;
    case '3':
      return MemberType::kCharDevice;
    case '4':
      return MemberType::kBlockDevice;
    case '5':
      return MemberType::kDirectory;
    case '6':
      return MemberType::kFifo;
    default:
      return Status(Code::E_ARCHIVE_INVALID, "a member of type '" + printable({&type, 1}) + "' cannot be kept");
  }
}

Status take_id(const char* name, std::uint64_t value, std::uint32_t& out) {
  if (value > UINT32_MAX) return {Code::E_ARCHIVE_INVALID, "its " + std::string(name) + " id is out of range"};
  out = static_cast<std::uint32_t>(value);
  return {};
}

bool is_sparse(const PaxValues::Sparse& sparse) {
  return sparse.major || sparse.real_size_bytes || sparse.entries || sparse.has_map;
}

}  // namespace

Status TarReader::invalid(const std::string& what) const {
  const std::string member = name_.empty() ? "" : ", member '" + printable(name_) + "'";
  return {Code::E_ARCHIVE_INVALID,
          "byte " + std::to_string(header_offset_) + " of the tar stream" + member + ": " + what};
}

Status TarReader::located(const Status& status) const {
  return status.code() == Code::E_ARCHIVE_INVALID ? invalid(status.message()) : status;
}

Status TarReader::cut_short() const {
  const std::string member = name_.empty() ? "" : " in member '" + printable(name_) + "'";
  return {Code::E_ARCHIVE_INVALID, "the tar stream was cut short at byte " + std::to_string(window_.offset()) + member};
}

Result<TarBlock> TarReader::block() {
  header_offset_ = window_.offset();
  const Result<ByteSpan> bytes = window_.peek(kTarBlockBytes);
  if (!bytes.ok()) return bytes.status();
  if (bytes->size() < kTarBlockBytes) return cut_short();
  window_.consume(kTarBlockBytes);
  return TarBlock(bytes->first<kTarBlockBytes>());
}

Result<ByteSpan> TarReader::data() {
  if (data_left_ == 0) return ByteSpan();
  const Result<ByteSpan> bytes = window_.peek(1);
  if (!bytes.ok()) return bytes.status();
  if (bytes->empty()) return cut_short();
  const ByteSpan mine = bytes->first(static_cast<std::size_t>(std::min<std::uint64_t>(bytes->size(), data_left_)));
  data_left_ -= mine.size();
  window_.consume(mine.size());
  return mine;
}

// REQUIRES: nothing is left of what was passed over before
Status TarReader::pass_over(std::uint64_t length, bool zeroes) {
  data_left_ = length;
  while (data_left_ > 0) {
    const Result<ByteSpan> bytes = data();
    if (!bytes.ok()) return bytes.status();
    if (zeroes && !is_zero(*bytes)) return invalid("behind the data of its sparse map stands more, and not zeroes");
  }
  return {};
}

// What is left of the member, what fills it up, and the rest of its last block.
Status TarReader::skip_data() {
  VZV_TRY(pass_over(data_left_, false));
  VZV_TRY(pass_over(std::exchange(filling_, 0), true));
  VZV_TRY(pass_over(std::exchange(padding_, 0), false));
  name_.clear();
  return {};
}

Status TarReader::drain() {
  for (;;) {
    const Result<ByteSpan> bytes = window_.peek(1);
    if (!bytes.ok()) return bytes.status();
    if (bytes->empty()) return {};
    window_.consume(bytes->size());
  }
}

Result<bool> TarReader::next(Member& member) {
  VZV_TRY(skip_data());
  Ahead ahead{.pax = global_, .name = {}, .link_name = {}, .bytes = 0, .any = false};
  for (;;) {
    const Result<TarBlock> bytes = block();
    if (!bytes.ok()) return bytes.status();
    if (is_end_block(*bytes)) {
      VZV_TRY(end_of_archive(ahead));
      return false;
    }
    const Result<TarHeader> header = parse_tar_header(*bytes);
    if (!header.ok()) return located(header.status());
    header_block_.assign(bytes->begin(), bytes->end());
    const Result<bool> taken = take_ahead(*header, ahead);
    if (!taken.ok()) return taken.status();
    if (*taken) continue;
    VZV_TRY(make_member(*header, ahead, member));
    return true;
  }
}

Status TarReader::end_of_archive(const Ahead& ahead) {
  if (ahead.any) return invalid("the archive ends behind a header that describes another member");
  const Result<TarBlock> second = block();
  if (!second.ok()) return second.status();
  return is_end_block(*second) ? Status() : invalid("a lone block of zeroes");
}

Result<bool> TarReader::take_ahead(const TarHeader& header, Ahead& ahead) {
  if (header.type != 'x' && header.type != 'g' && header.type != 'L' && header.type != 'K') return false;
  ahead.any = ahead.any || header.type != 'g';
  Result<std::string> text = read_text(header.size_bytes, header.type == 'g' ? global_bytes_ : ahead.bytes);
  if (!text.ok()) return text.status();
  if (header.type == 'L' || header.type == 'K') {
    text->resize(std::min(text->find('\0'), text->size()));
    (header.type == 'L' ? ahead.name : ahead.link_name) = std::move(*text);
    return true;
  }
  Status status = ahead.pax.take(*text);
  if (status.ok() && header.type == 'g') status = global_.take(*text);
  if (!status.ok()) return located(status);
  return true;
}

// `budget` counts what was read of headers so far.
Result<std::string> TarReader::read_text(std::uint64_t size_bytes, std::size_t& budget) {
  if (size_bytes > limits::kTarHeadersMaxBytes - budget) {
    return invalid("an extended header of " + std::to_string(size_bytes) + " bytes is larger than any needs to be");
  }
  budget += static_cast<std::size_t>(size_bytes);
  data_left_ = size_bytes;
  padding_ = padding_behind(size_bytes);
  std::string text;
  while (data_left_ > 0) {
    const Result<ByteSpan> bytes = data();
    if (!bytes.ok()) return bytes.status();
    text.append(bytes->begin(), bytes->end());
  }
  VZV_TRY(skip_data());
  return text;
}

Status TarReader::make_member(const TarHeader& header, Ahead& ahead, Member& member) {
  member = Member();
  VZV_TRY(name_member(header, ahead, member));
  member.mode = header.mode & kModeBits;
  Status status = take_id("user", ahead.pax.uid.value_or(header.uid), member.uid);
  if (status.ok()) status = take_id("group", ahead.pax.gid.value_or(header.gid), member.gid);
  if (!status.ok()) return located(status);
  member.mtime_seconds = ahead.pax.mtime ? ahead.pax.mtime->seconds : header.mtime_seconds;
  member.mtime_nanoseconds = ahead.pax.mtime ? ahead.pax.mtime->nanoseconds : 0;
  for (auto& [name, value] : ahead.pax.xattrs) member.xattrs.push_back({name, std::move(value)});
  VZV_TRY(take_acl(ahead.pax.acl_access, member.acl_access));
  VZV_TRY(take_acl(ahead.pax.acl_default, member.acl_default));
  VZV_TRY(fill_content(header, ahead, member));
  const std::string problem = member_problem(member);
  return problem.empty() ? Status() : invalid(problem);
}

Status TarReader::take_acl(std::string_view text, std::string& acl) {
  if (text.empty()) return {};
  Result<std::string> translated = acls_.translate(text);
  if (!translated.ok()) return located(translated.status());
  acl = std::move(*translated);
  return {};
}

Status TarReader::name_member(const TarHeader& header, Ahead& ahead, Member& member) {
  name_ = !ahead.name.empty() ? std::move(ahead.name) : header.name;
  if (ahead.pax.path) name_ = *ahead.pax.path;
  if (ahead.pax.sparse.name) name_ = *ahead.pax.sparse.name;
  if (name_.empty()) return invalid("a member has no name");
  if (name_.starts_with('/')) return invalid("its path is not allowed: it is absolute");
  const Result<MemberType> type = type_of(header.type, name_);
  if (!type.ok()) return located(type.status());
  member.type = *type;
  member.path = plain_path(name_);
  if (*type != MemberType::kSymlink && *type != MemberType::kHardLink) return {};
  member.link_target = !ahead.link_name.empty() ? std::move(ahead.link_name) : header.link_name;
  if (ahead.pax.link_path) member.link_target = *ahead.pax.link_path;
  if (*type == MemberType::kSymlink) return {};
  if (member.link_target.starts_with('/')) return invalid("the target of the hard link is absolute");
  member.link_target = plain_path(member.link_target);
  return {};
}

Status TarReader::fill_content(const TarHeader& header, const Ahead& ahead, Member& member) {
  const std::uint64_t available = ahead.pax.size_bytes.value_or(header.size_bytes);
  if (available >= limits::kArchiveSizeMax) return invalid("its size is beyond 2^53 bytes");
  const bool sparse = header.type == 'S' || is_sparse(ahead.pax.sparse);
  if (member.type != MemberType::kFile) {
    member.device_major = static_cast<std::uint32_t>(header.device_major);
    member.device_minor = static_cast<std::uint32_t>(header.device_minor);
    return available == 0 && !sparse ? Status() : invalid("it has data, though it is no file");
  }
  data_left_ = available;
  padding_ = padding_behind(available);
  member.size_bytes = member.stored_bytes = available;
  return sparse ? read_sparse(header, ahead.pax.sparse, member) : Status();
}

Status TarReader::read_sparse(const TarHeader& header, const PaxValues::Sparse& sparse, Member& member) {
  std::vector<MemberExtent> ranges;
  if (header.type == 'S') {
    VZV_TRY(read_old_sparse(ranges, member.size_bytes));
  } else {
    if (!sparse.real_size_bytes) return invalid("a sparse file has no size");
    member.size_bytes = *sparse.real_size_bytes;
    const std::uint64_t major = sparse.major.value_or(0);
    if (major > 1 || (major == 1 && sparse.minor.value_or(0) != 0)) return invalid("its sparse format is unknown");
    if (major == 1) {
      const Result<std::uint64_t> taken = read_sparse_map(window_, data_left_, ranges);
      if (!taken.ok()) return located(taken.status());
      data_left_ -= *taken;
      filling_ = data_left_ - mapped_bytes(ranges, data_left_);
      data_left_ -= filling_;
    } else {
      Result<std::vector<MemberExtent>> listed =
          sparse_ranges(sparse.map, sparse.entries.value_or(sparse.map.size() / 2));
      if (!listed.ok()) return located(listed.status());
      ranges = std::move(*listed);
    }
  }
  member.stored_bytes = data_left_;
  Result<std::vector<MemberExtent>> extents =
      check_sparse_map(std::move(ranges), member.size_bytes, member.stored_bytes);
  if (!extents.ok()) return located(extents.status());
  // A map of the whole file says no more than that there is no hole.
  member.sparse = member.stored_bytes != member.size_bytes;
  if (member.sparse) member.extents = std::move(*extents);
  return {};
}

Status TarReader::read_old_sparse(std::vector<MemberExtent>& ranges, std::uint64_t& real_size_bytes) {
  Result<OldSparsePart> part =
      parse_old_sparse_header(TarBlock(ByteSpan(header_block_).first<kTarBlockBytes>()), real_size_bytes);
  const std::uint64_t header_offset = header_offset_;
  for (;;) {
    if (!part.ok()) return located(part.status());
    ranges.insert(ranges.end(), part->extents.begin(), part->extents.end());
    if (ranges.size() > limits::kSparseExtentsMax) return invalid("its sparse map has too many entries");
    if (!part->more) break;
    const Result<TarBlock> bytes = block();
    if (!bytes.ok()) return bytes.status();
    part = parse_old_sparse_block(*bytes);
  }
  header_offset_ = header_offset;
  return {};
}

}  // namespace vzv
