// vzvault-fuse: serves the volumes and files that a mount spec lists as a read-only file system. docs/mount.md tells
// how it is run.
//
// This file only wires: arguments, spec, repository, mount, and the lines that it says.

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include "core/base/bytes.h"
#include "core/base/file.h"
#include "core/base/limits.h"
#include "core/store/chunk_reader.h"
#include "core/store/index.h"
#include "core/store/repository_dir.h"
#include "fuse/file_system.h"
#include "fuse/log.h"
#include "fuse/mount_key.h"
#include "fuse/mount_session.h"
#include "fuse/mount_spec.h"
#include "fuse/node_tree.h"
#include "fuse/read_ahead.h"

namespace vzv::fuse {
namespace {

constexpr int kExitFailed = 1;
constexpr int kExitUsage = 2;
// Its writer has it ready when it starts us; one that holds the descriptor open must not hold us for ever.
constexpr int kSpecTimeoutMs = 30'000;
constexpr std::chrono::seconds kStopWithin{3};

constexpr std::string_view kUsage =
    "usage: vzvault-fuse --spec-fd FD MOUNTPOINT\n"
    "Mounts what the mount spec on descriptor FD lists (docs/mount.md) and serves it in the foreground until it is "
    "unmounted.\n"
    "Prints \"ready\" once it answers, or \"failed CODE: why\". SIGTERM unmounts, SIGUSR1 logs statistics.\n";

struct Arguments {
  int spec_fd = -1;
  std::string mount_point;
};

std::optional<Arguments> parse_arguments(int argc, char** argv) {
  Arguments arguments;
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (argument == "--spec-fd" && i + 1 < argc) {
      const std::string_view text = argv[++i];
      const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), arguments.spec_fd);
      if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    } else if (argument.starts_with("-") || !arguments.mount_point.empty()) {
      return std::nullopt;
    } else {
      arguments.mount_point = argument;
    }
  }
  if (arguments.spec_fd <= STDERR_FILENO || arguments.mount_point.empty()) return std::nullopt;
  return arguments;
}

unsigned clamped_processors(unsigned factor, unsigned minimum, unsigned maximum) {
  return std::clamp(std::max(std::thread::hardware_concurrency(), 1U) * factor, minimum, maximum);
}

std::string statistics(const ChunkReader& chunks, const FileSystem& file_system, const ReadAheadPool& pool,
                       const Log& log) {
  const ReadCounters store = chunks.counters();
  const RequestCounters requests = file_system.counters();
  return "stats chunks_read=" + std::to_string(store.chunks_read) +
         " stored_bytes_read=" + std::to_string(store.stored_bytes_read) +
         " cache_hits=" + std::to_string(store.cache_hits) +
         " data_bytes_decoded=" + std::to_string(store.data_bytes_decoded) +
         " map_bytes_decoded=" + std::to_string(store.map_bytes_decoded) +
         " catalogue_bytes_decoded=" + std::to_string(store.catalogue_bytes_decoded) +
         " reads=" + std::to_string(requests.reads) + " read_bytes=" + std::to_string(requests.read_bytes) +
         " faults=" + std::to_string(requests.faults) + " open_files=" + std::to_string(requests.open_files) +
         " fetched_ahead=" + std::to_string(pool.fetched()) + " log_lines_dropped=" + std::to_string(log.dropped());
}

// Says so once, and lets go of the pipe: its reader may wait for the end.
void say_ready() {
  static_cast<void>(write_all(STDOUT_FILENO, as_bytes("ready\n")));
  const UniqueFd null(::open("/dev/null", O_WRONLY | O_CLOEXEC));
  if (null.valid()) dup2(null.get(), STDOUT_FILENO);
}

// Why there will be no "ready", for whoever waits for it and has sent the log elsewhere.
void say_failed(const Status& status) {
  std::string line = "failed " + std::string(code_name(status.code())) + ": " + status.message();
  std::replace(line.begin(), line.end(), '\n', ' ');
  line += '\n';
  static_cast<void>(write_all(STDOUT_FILENO, as_bytes(line)));
}

struct TakenSpec {
  MountSpec spec;
  RepositoryKeysPtr keys;  // null: not encrypted
};

Result<TakenSpec> take_spec(int fd) {
  const UniqueFd spec_fd(fd);
  Result<SecretText> text = read_mount_spec(spec_fd.get(), kSpecTimeoutMs);
  if (!text.ok()) return text.status();
  Result<RepositoryKeysPtr> keys = take_key(*text);
  if (!keys.ok()) return keys.status();
  Result<MountSpec> spec = parse_mount_spec(*text);
  if (!spec.ok()) return spec.status();
  if (spec->has_key && !spec->key_fingerprint.empty()) VZV_TRY((*keys)->check_fingerprint(spec->key_fingerprint));
  return TakenSpec{std::move(spec).value(), std::move(keys).value()};
}

Status run(const Arguments& arguments, Log& log) {
  Result<TakenSpec> taken = take_spec(arguments.spec_fd);
  if (!taken.ok()) return taken.status();
  MountSpec* const spec = &taken->spec;

  const Result<std::shared_ptr<RepositoryDir>> repository = RepositoryDir::open(spec->repository);
  if (!repository.ok()) return repository.status();
  const Result<std::shared_ptr<Index>> index =
      Index::open(*repository, spec->cache_directory, known_suite_of(taken->keys.get()));
  if (!index.ok()) return index.status();
  for (const Status& damaged : (*index)->damaged_segments()) log.error(damaged);

  ChunkReader chunks(*repository, *index, spec->cache_bytes, taken->keys);
  const Result<std::unique_ptr<NodeTree>> tree = NodeTree::build(std::move(spec->nodes), chunks);
  if (!tree.ok()) return tree.status();

  MountSession::prepare_signals();
  ReadAheadPool pool(clamped_processors(1, 1, limits::kMountReadAheadThreadsMax), spec->cache_bytes / 2);
  FileSystem file_system(**tree, pool, log);
  const auto log_statistics = [&] { log.info(statistics(chunks, file_system, pool, log)); };

  Result<std::unique_ptr<MountSession>> session =
      MountSession::mount(file_system, arguments.mount_point, spec->allow_other, log);
  if (!session.ok()) return session.status();
  // Holds no directory that somebody may want to unmount.
  if (chdir("/") != 0) return Status(Code::E_INTERNAL, "changing to the root directory failed");

  const unsigned threads = clamped_processors(2, limits::kMountThreadsMin, limits::kMountThreadsMax);
  const Result<Ended> ended = (*session)->serve(threads, ServeEvents{say_ready, log_statistics});
  log_statistics();
  const bool stuck = ended.ok() && *ended == Ended::kStuck;
  if (!stuck) session->reset();
  if (stuck || !pool.stop(kStopWithin)) {
    // A thread that hangs in the kernel cannot be waited for; nothing is written here that could be lost.
    log.error(
        Status(Code::E_STORAGE_TIMEOUT, "unmounted while the storage of " + spec->repository + " did not answer"));
    std::_Exit(EXIT_SUCCESS);
  }
  return ended.status();
}

}  // namespace
}  // namespace vzv::fuse

int main(int argc, char** argv) {
  vzv::fuse::Log log(STDERR_FILENO);
  if (argc == 2 && std::string_view(argv[1]) == "--help") {
    return vzv::write_all(STDOUT_FILENO, vzv::as_bytes(vzv::fuse::kUsage)) == 0 ? EXIT_SUCCESS : vzv::fuse::kExitFailed;
  }
  const auto arguments = vzv::fuse::parse_arguments(argc, argv);
  if (!arguments) {
    log.error(vzv::Status(vzv::Code::E_ARGUMENT_INVALID, "usage: vzvault-fuse --spec-fd FD MOUNTPOINT"));
    return vzv::fuse::kExitUsage;
  }
  vzv::Status status;
  try {
    status = vzv::fuse::run(*arguments, log);
  } catch (const std::exception& problem) {
    status = vzv::Status(vzv::Code::E_INTERNAL, std::string("out of memory or threads: ") + problem.what());
  }
  if (status.ok()) return EXIT_SUCCESS;
  log.error(status);
  vzv::fuse::say_failed(status);
  return vzv::fuse::kExitFailed;
}
