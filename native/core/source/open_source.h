// Opens whatever a volume may be backed up from.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>

#include "core/base/cancel.h"
#include "core/base/file.h"
#include "core/source/block_source.h"

namespace vzv {

// An export of an NBD server on a Unix socket. The name '' is the server's default export.
struct NbdSocketAddress {
  std::string socket_path;
  std::string export_name;
};

// nbd://host[:port]/export or nbd+unix:///export?socket=PATH. No TLS, no other schemes.
struct NbdUriAddress {
  std::string uri;
};

// A regular file or a block device.
struct FileAddress {
  std::string path;
};

// An open regular file or block device, shared with the calls on it. Opened with O_DIRECT it is read in aligned pieces;
// opened for writing, its ranges can be discarded.
struct DescriptorAddress {
  std::shared_ptr<const UniqueFd> fd;
  std::string name;  // what messages call it
};

using SourceAddress = std::variant<NbdSocketAddress, NbdUriAddress, FileAddress, DescriptorAddress>;

struct SourceOptions {
  // No sign of life for this long while opening or asking for extents is E_SOURCE_STALLED. REQUIRES: > 0
  int stall_timeout_ms = 60'000;
  // Another size is E_SOURCE_SIZE. Nothing: whatever size the source has.
  std::optional<std::uint64_t> expected_size_bytes;
};

// E_SOURCE_UNREACHABLE, E_SOURCE_SIZE, E_SOURCE_STALLED, E_CANCELLED; E_ARGUMENT_INVALID for a URI of another scheme.
// The token must outlive the source.
Result<std::unique_ptr<BlockSource>> open_source(const SourceAddress& address, const SourceOptions& options,
                                                 const CancelToken& cancel);

}  // namespace vzv
