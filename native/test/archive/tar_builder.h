// Tar streams written by hand, right ones and wrong ones, for tests and fuzzers.
#pragma once

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "core/archive/tar_input.h"
#include "core/base/id.h"

namespace vzv::test {

// A stream in memory, handed out in portions of at most `portion` bytes.
class MemoryTar : public TarInput {
 public:
  explicit MemoryTar(ByteSpan bytes, std::size_t portion = SIZE_MAX) : bytes_(bytes), portion_(portion) {}

  Result<std::size_t> read(std::span<std::uint8_t> buffer) override {
    const std::size_t count = std::min({buffer.size(), portion_, bytes_.size()});
    if (count > 0) std::memcpy(buffer.data(), bytes_.data(), count);
    bytes_ = bytes_.subspan(count);
    return count;
  }

 private:
  ByteSpan bytes_;
  const std::size_t portion_;
};

struct TarFields {
  char type = '0';
  std::string name = "a";
  std::uint64_t size_bytes = 0;
  std::string link_name = {};
  std::string prefix = {};
  unsigned mode = 0644;
  unsigned uid = 0;
  unsigned gid = 0;
  std::uint64_t mtime = 1'795'000'000;
  bool gnu = false;
};

class TarBuilder {
 public:
  // A 512-byte header whose checksum matches.
  static std::string header(const TarFields& fields) {
    std::string block(512, '\0');
    put(block, 0, fields.name.substr(0, 100));
    octal(block, 100, 8, fields.mode);
    octal(block, 108, 8, fields.uid);
    octal(block, 116, 8, fields.gid);
    octal(block, 124, 12, fields.size_bytes);
    octal(block, 136, 12, fields.mtime);
    block[156] = fields.type;
    put(block, 157, fields.link_name.substr(0, 100));
    put(block, 257, fields.gnu ? std::string_view("ustar  \0", 8) : std::string_view("ustar\00000", 8));
    octal(block, 329, 8, 1);
    octal(block, 337, 8, 3);
    put(block, 345, fields.prefix);
    return with_checksum(block);
  }
  static std::string with_checksum(std::string block) {
    std::memset(block.data() + 148, ' ', 8);
    unsigned sum = 0;
    for (const char c : block) sum += static_cast<unsigned char>(c);
    char text[8];
    std::snprintf(text, sizeof text, "%06o", sum);
    std::memcpy(block.data() + 148, text, 7);
    return block;
  }
  static void octal(std::string& block, std::size_t at, int width, std::uint64_t value) {
    char text[32];
    std::snprintf(text, sizeof text, "%0*llo", width - 1, static_cast<unsigned long long>(value));
    put(block, at, text);
  }
  static void put(std::string& block, std::size_t at, std::string_view text) {
    std::memcpy(block.data() + at, text.data(), text.size());
  }
  // "11 path=a\n"
  static std::string pax_record(const std::string& keyword, const std::string& value) {
    const std::size_t rest = keyword.size() + value.size() + 3;
    std::size_t length = rest + 1;
    while (std::to_string(length).size() + rest != length) ++length;
    return std::to_string(length) + " " + keyword + "=" + value + "\n";
  }

  TarBuilder& raw(std::string_view bytes) {
    text_ += bytes;
    return *this;
  }
  TarBuilder& pad() { return raw(std::string((512 - text_.size() % 512) % 512, '\0')); }
  TarBuilder& member(TarFields fields, std::string_view data = "") {
    fields.size_bytes = data.size();
    return raw(header(fields)).raw(data).pad();
  }
  // An extended header (x, g) or long name (L, K) of these bytes.
  TarBuilder& ahead(char type, std::string_view bytes) {
    return member({.type = type, .name = "././@LongLink"}, bytes);
  }
  TarBuilder& pax(const std::vector<std::pair<std::string, std::string>>& records, char type = 'x') {
    std::string text;
    for (const auto& [keyword, value] : records) text += pax_record(keyword, value);
    return ahead(type, text);
  }
  TarBuilder& end() { return raw(std::string(1024, '\0')); }

  const std::string& text() const { return text_; }
  Bytes bytes() const { return {text_.begin(), text_.end()}; }

 private:
  std::string text_;
};

// An old GNU sparse header: up to four ranges, the real size, and whether another block follows.
inline std::string old_sparse_header(TarFields fields,
                                     const std::vector<std::pair<std::uint64_t, std::uint64_t>>& ranges,
                                     std::uint64_t real_size_bytes, bool more) {
  fields.type = 'S';
  fields.gnu = true;
  std::string block = TarBuilder::header(fields);
  for (std::size_t i = 0; i < ranges.size(); ++i) {
    TarBuilder::octal(block, 386 + 24 * i, 12, ranges[i].first);
    TarBuilder::octal(block, 398 + 24 * i, 12, ranges[i].second);
  }
  block[482] = more ? '\1' : '\0';
  TarBuilder::octal(block, 483, 12, real_size_bytes);
  return TarBuilder::with_checksum(block);
}

inline std::string old_sparse_block(const std::vector<std::pair<std::uint64_t, std::uint64_t>>& ranges, bool more) {
  std::string block(512, '\0');
  for (std::size_t i = 0; i < ranges.size(); ++i) {
    TarBuilder::octal(block, 24 * i, 12, ranges[i].first);
    TarBuilder::octal(block, 24 * i + 12, 12, ranges[i].second);
  }
  block[504] = more ? '\1' : '\0';
  return block;
}

}  // namespace vzv::test
