// What the programs that make repositories for the tests of mounts have in common.
#pragma once

#include <iostream>
#include <memory>
#include <string>

#include "core/base/limits.h"
#include "core/store/chunk_writer.h"
#include "core/store/index.h"
#include "core/store/repository_dir.h"

namespace vzv::test {

// Writes packs of 8 MiB, so that a test can damage one and not the others.
inline Result<std::unique_ptr<ChunkWriter>> open_fixture_writer(const std::string& repository,
                                                                const std::string& cache) {
  const auto dir = RepositoryDir::open(repository);
  if (!dir.ok()) return dir.status();
  const auto index = Index::open(*dir, cache);
  if (!index.ok()) return index.status();
  ChunkWriterOptions options;
  options.pack_target_bytes = 8 * limits::kMiB;
  return ChunkWriter::create(*dir, *index, options);
}

// The exit code.
inline int told(const Status& status) {
  if (status.ok()) return 0;
  std::cerr << code_name(status.code()) << ": " << status.message() << "\n";
  return 1;
}

}  // namespace vzv::test
