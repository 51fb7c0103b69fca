// A disk in a regular file or block device, given by its path or as an open descriptor: pread(2) on a few threads of
// its own, holes of files by SEEK_DATA and SEEK_HOLE. A file given by its path is never changed; of a descriptor,
// ranges can be discarded. Every kernel call runs on those threads, so that a file on a hung mount hangs none but them.
#pragma once

#include <memory>

#include "core/source/open_source.h"

namespace vzv {

// Errors and REQUIRES as for open_source.
Result<std::unique_ptr<BlockSource>> open_file_source(const FileAddress& address, int stall_timeout_ms,
                                                      const CancelToken& cancel);
Result<std::unique_ptr<BlockSource>> open_file_source(const DescriptorAddress& address, int stall_timeout_ms,
                                                      const CancelToken& cancel);

}  // namespace vzv
