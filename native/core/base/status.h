// What an operation of the core answers: a Status, or a Result that holds a value or a Status.
//
// The codes are those of the project's one error table (src/lib/errors.ts, docs/errors.md); a test holds the three
// equal. The core uses only the part of them that it can meet, but knows all. The message says what was being done to
// what, on one line, without the code. No function of the core throws.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace vzv {

// X(name): keep in the order of src/lib/errors.ts.
#define VZV_ERROR_CODES(X) \
  X(E_FRAME_TORN)          \
  X(E_FRAME_TOO_LARGE)     \
  X(E_FRAME_INVALID)       \
  X(E_PROTOCOL_VERSION)    \
  X(E_PROTOCOL_ORDER)      \
  X(E_METHOD_UNKNOWN)      \
  X(E_ARGUMENT_INVALID)    \
  X(E_PEER_DENIED)         \
  X(E_DEADLINE)            \
  X(E_CANCELLED)           \
  X(E_CONNECTION_LOST)     \
  X(E_DAEMON_UNREACHABLE)  \
  X(E_DAEMON_STOPPING)     \
  X(E_SESSION_UNKNOWN)     \
  X(E_SESSION_STATE)       \
  X(E_GUEST_BUSY)          \
  X(E_SESSION_FENCED)      \
  X(E_UNSUPPORTED)         \
  X(E_PATH_MISSING)        \
  X(E_NOT_MOUNTED)         \
  X(E_REPOSITORY_MISSING)  \
  X(E_REPOSITORY_EXISTS)   \
  X(E_FORMAT_UNKNOWN)      \
  X(E_CONFIG_INVALID)      \
  X(E_PERMISSION)          \
  X(E_READ_ONLY)           \
  X(E_NO_SPACE)            \
  X(E_STORAGE_TIMEOUT)     \
  X(E_STORAGE_IO)          \
  X(E_NAME_TAKEN)          \
  X(E_SNAPSHOT_MISSING)    \
  X(E_SNAPSHOT_DAMAGED)    \
  X(E_SNAPSHOT_PROTECTED)  \
  X(E_VOLUME_MISSING)      \
  X(E_CHUNK_DAMAGED)       \
  X(E_CHUNK_MISSING)       \
  X(E_PACK_DAMAGED)        \
  X(E_PACK_MISSING)        \
  X(E_SEGMENT_DAMAGED)     \
  X(E_MAP_DAMAGED)         \
  X(E_CATALOGUE_DAMAGED)   \
  X(E_SUITE_UNKNOWN)       \
  X(E_SUITE_MISMATCH)      \
  X(E_KEY_MISSING)         \
  X(E_KEY_WRONG)           \
  X(E_GC_INCOMPLETE)       \
  X(E_SOURCE_UNREACHABLE)  \
  X(E_SOURCE_READ)         \
  X(E_SOURCE_SIZE)         \
  X(E_SOURCE_BITMAP)       \
  X(E_SOURCE_STALLED)      \
  X(E_ARCHIVE_INVALID)     \
  X(E_ARCHIVE_SOURCE)      \
  X(E_TARGET_WRITE)        \
  X(E_TARGET_EXISTS)       \
  X(E_MOUNT_FAILED)        \
  X(E_INTERNAL)

enum class Code : std::uint8_t {
  kOk = 0,
#define VZV_ENUMERATOR(name) name,
  VZV_ERROR_CODES(VZV_ENUMERATOR)
#undef VZV_ENUMERATOR
};

// "E_NO_SPACE"; "OK" for kOk.
constexpr std::string_view code_name(Code code) {
  switch (code) {
    case Code::kOk:
      return "OK";
#define VZV_CASE(name) \
  case Code::name:     \
    return #name;
      VZV_ERROR_CODES(VZV_CASE)
#undef VZV_CASE
  }
  return "E_INTERNAL";
}

class [[nodiscard]] Status {
 public:
  Status() = default;  // success
  Status(Code code, std::string message) : code_(code), message_(std::move(message)) {}

  bool ok() const { return code_ == Code::kOk; }
  Code code() const { return code_; }
  const std::string& message() const { return message_; }

 private:
  Code code_ = Code::kOk;
  std::string message_;
};

// Turns errno of a call on the storage into a Status: ENOSPC and EDQUOT are E_NO_SPACE, EROFS E_READ_ONLY, EACCES and
// EPERM E_PERMISSION, EEXIST E_NAME_TAKEN, ETIMEDOUT E_STORAGE_TIMEOUT, anything else E_STORAGE_IO. `doing` reads like
// "writing pack packs/ab/…". (status.cc)
Status storage_errno(int error, std::string_view doing);

template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}         // NOLINT: implicit by intent
  Result(Status status) : state_(std::in_place_index<1>, std::move(status)) {}  // NOLINT; REQUIRES: !status.ok()

  bool ok() const { return state_.index() == 0; }
  Status status() const { return ok() ? Status() : std::get<1>(state_); }
  // REQUIRES: ok()
  T& value() & { return std::get<0>(state_); }
  const T& value() const& { return std::get<0>(state_); }
  T&& value() && { return std::get<0>(std::move(state_)); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }

 private:
  std::variant<T, Status> state_;
};

// Returns from the enclosing function when `expression` (a Status) is an error.
#define VZV_TRY(expression)                    \
  do {                                         \
    ::vzv::Status vzv_status_ = (expression);  \
    if (!vzv_status_.ok()) return vzv_status_; \
  } while (false)

}  // namespace vzv
