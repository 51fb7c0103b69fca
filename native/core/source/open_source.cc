#include "core/source/open_source.h"

#include <type_traits>

#include "core/source/file_source.h"
#include "core/source/nbd_source.h"

namespace vzv {

Result<std::unique_ptr<BlockSource>> open_source(const SourceAddress& address, const SourceOptions& options,
                                                 const CancelToken& cancel) {
  Result<std::unique_ptr<BlockSource>> opened = std::visit(
      [&](const auto& known) -> Result<std::unique_ptr<BlockSource>> {
        using Address = std::decay_t<decltype(known)>;
        if constexpr (std::is_same_v<Address, FileAddress> || std::is_same_v<Address, DescriptorAddress>) {
          return open_file_source(known, options.stall_timeout_ms, cancel);
        } else {
          return open_nbd_source(known, options.stall_timeout_ms, cancel);
        }
      },
      address);
  if (!opened.ok()) return opened;
  const BlockSource& source = **opened;
  if (options.expected_size_bytes && *options.expected_size_bytes != source.size_bytes()) {
    return Status(Code::E_SOURCE_SIZE, source.name() + " has " + std::to_string(source.size_bytes()) + " bytes where " +
                                           std::to_string(*options.expected_size_bytes) + " were announced");
  }
  return opened;
}

}  // namespace vzv
