#include "core/base/status.h"

#include <cerrno>

#include "core/base/file.h"

namespace vzv {

namespace {

Code storage_code(int error) {
  switch (error) {
    case ENOSPC:
    case EDQUOT:
      return Code::E_NO_SPACE;
    case EROFS:
      return Code::E_READ_ONLY;
    case EACCES:
    case EPERM:
      return Code::E_PERMISSION;
    case EEXIST:
      return Code::E_NAME_TAKEN;
    case ETIMEDOUT:
      return Code::E_STORAGE_TIMEOUT;
    default:
      return Code::E_STORAGE_IO;
  }
}

}  // namespace

Status storage_errno(int error, std::string_view doing) {
  return {storage_code(error), std::string(doing) + ": " + errno_text(error)};
}

}  // namespace vzv
