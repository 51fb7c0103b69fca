// RepositoryDir::is_mounted: reads the kernel's table of mounts, so that a mount that hangs does not hang the question.
#include <fstream>
#include <sstream>

#include "core/store/repository_dir.h"

namespace vzv {

namespace {

bool octal(char c) { return c >= '0' && c <= '7'; }

// The kernel writes space, tab, newline and backslash as \040 and the like (proc(5), /proc/pid/mountinfo).
std::string unescape(std::string_view text) {
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size() && octal(text[i + 1]) && octal(text[i + 2]) && octal(text[i + 3])) {
      plain.push_back(static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0')));
      i += 3;
    } else {
      plain.push_back(text[i]);
    }
  }
  return plain;
}

// Without repeated and trailing slashes; "/" stays.
std::string normalized(std::string_view path) {
  std::string plain;
  for (const char c : path) {
    if (c == '/' && !plain.empty() && plain.back() == '/') continue;
    plain.push_back(c);
  }
  if (plain.size() > 1 && plain.back() == '/') plain.pop_back();
  return plain;
}

}  // namespace

Result<bool> RepositoryDir::is_mounted(std::string_view path) {
  if (path.empty() || path.front() != '/') {
    return Status(Code::E_ARGUMENT_INVALID, "the mount point \"" + std::string(path) + "\" is not an absolute path");
  }
  std::ifstream table("/proc/self/mountinfo");
  if (!table) return Status(Code::E_STORAGE_IO, "cannot open /proc/self/mountinfo");
  const std::string wanted = normalized(path);
  for (std::string line; std::getline(table, line);) {
    // mount id, parent id, major:minor, root, mount point, …
    std::istringstream fields(line);
    std::string id, parent, device, root, mount_point;
    fields >> id >> parent >> device >> root >> mount_point;
    if (unescape(mount_point) == wanted) return true;
  }
  return false;
}

}  // namespace vzv
