#include "core/source/open_source.h"

#include "core/source/file_source.h"
#include "core/source/nbd_source.h"

namespace vzv {

Result<std::unique_ptr<BlockSource>> open_source(const SourceAddress& address, const SourceOptions& options,
                                                 const CancelToken& cancel) {
  Result<std::unique_ptr<BlockSource>> opened =
      std::holds_alternative<FileAddress>(address)
          ? open_file_source(std::get<FileAddress>(address), options.stall_timeout_ms, cancel)
      : std::holds_alternative<NbdUriAddress>(address)
          ? open_nbd_source(std::get<NbdUriAddress>(address), options.stall_timeout_ms, cancel)
          : open_nbd_source(std::get<NbdSocketAddress>(address), options.stall_timeout_ms, cancel);
  if (!opened.ok()) return opened;
  const BlockSource& source = **opened;
  if (options.expected_size_bytes && *options.expected_size_bytes != source.size_bytes()) {
    return Status(Code::E_SOURCE_SIZE, source.name() + " has " + std::to_string(source.size_bytes()) + " bytes where " +
                                           std::to_string(*options.expected_size_bytes) + " were announced");
  }
  return opened;
}

}  // namespace vzv
