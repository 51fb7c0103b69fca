// How fast one volume goes through: a first backup, a second one of the same data, a restore; and what memory that
// takes.
//
//   bench_pipeline [--directory DIR] [--source FILE|nbd+unix:///…] [--data-mib 2048] [--chunk-kib 512]
//                  [--suite none|aes-256-gcm]
//
// DIR is made for repository, cache and restored file and must not exist; it stays, for whoever wants to look. Without
// it a temporary directory is used and removed. Without a source a file of --data-mib is made there: a third random, a
// third that compresses about 3:1, a third of holes.
//
// Times are wall-clock, with everything flushed to disk where the step itself promises that; the page cache is as it
// comes, so a source that was just written is read from memory. Memory is the peak of the whole process.
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>

#include "bench/need.h"
#include "core/pipeline/volume_backup.h"
#include "core/pipeline/volume_restore.h"
#include "core/source/open_source.h"
#include "core/store/chunk_reader.h"
#include "core/store/chunk_writer.h"

namespace vzv {
namespace {

constexpr double kMiB = 1024.0 * 1024.0;
constexpr std::uint64_t kReaderCacheBytes = 32ULL << 20;

struct Arguments {
  std::string directory;
  std::string source;
  std::uint64_t data_mib = 2048;
  std::uint32_t chunk_kib = 512;
  RepositoryKeysPtr keys{};
};

Arguments parse(int argc, char** argv) {
  Arguments arguments;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string name = argv[i];
    if (name == "--directory") {
      arguments.directory = argv[i + 1];
    } else if (name == "--source") {
      arguments.source = argv[i + 1];
    } else if (name == "--data-mib") {
      arguments.data_mib = std::strtoull(argv[i + 1], nullptr, 10);
    } else if (name == "--chunk-kib") {
      arguments.chunk_kib = static_cast<std::uint32_t>(std::strtoul(argv[i + 1], nullptr, 10));
    } else if (name == "--suite") {
      const std::string suite = argv[i + 1];
      if (suite != "none" && suite != "aes-256-gcm") give_up("unknown suite " + suite);
      if (suite != "none") arguments.keys = need(RepositoryKeys::load(Bytes(SecretKey::kBytes, 1)));
    } else {
      give_up("unknown option " + name);
    }
  }
  if (argc % 2 == 0) give_up("every option takes a value");
  return arguments;
}

double peak_mib() {
  struct rusage usage;
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) / 1024.0;
}

// Random words; in the compressible third only every third one is.
void make_disk(const std::string& path, std::uint64_t data_mib) {
  const UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!fd.valid() || ::ftruncate(fd.get(), static_cast<off_t>(data_mib << 20)) != 0) give_up("cannot make " + path);
  Bytes block(1 << 20);
  std::uint64_t state = 88'172'645'463'325'252;
  for (std::uint64_t n = 0; n < data_mib; ++n) {
    const unsigned kind = static_cast<unsigned>(n / 16 % 3);
    if (kind == 2) continue;
    for (std::size_t at = 0; at < block.size(); at += 8) {
      state ^= state << 13;
      state ^= state >> 7;
      state ^= state << 17;
      const std::uint64_t word = kind == 0 || at % 24 == 0 ? state : 0x2020'2020'2020'2020 + n;
      std::memcpy(block.data() + at, &word, 8);
    }
    for (std::size_t done = 0; done < block.size();) {
      const ssize_t written =
          ::pwrite(fd.get(), block.data() + done, block.size() - done, static_cast<off_t>((n << 20) + done));
      if (written <= 0) give_up("cannot write " + path);
      done += static_cast<std::size_t>(written);
    }
  }
  ::fsync(fd.get());
}

class Timer {
 public:
  double seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - begun_).count(); }

 private:
  std::chrono::steady_clock::time_point begun_ = std::chrono::steady_clock::now();
};

VolumeBackupResult backup(const char* label, const SourceAddress& address, std::uint32_t chunk_size_bytes,
                          const std::shared_ptr<RepositoryDir>& dir, const std::shared_ptr<Index>& index,
                          const RepositoryKeysPtr& keys) {
  const Timer timer;
  CancelToken cancel;
  auto source = need(open_source(address, SourceOptions{}, cancel));
  auto writer = need(ChunkWriter::create(dir, index, {.keys = keys}));
  VolumeBackupOptions options;
  options.chunk_size_bytes = chunk_size_bytes;
  BackupCounters counters;
  VolumeBackupResult result = need(backup_volume(*source, *writer, options, counters, cancel));
  need(writer->flush());
  const double seconds = timer.seconds(), read = static_cast<double>(counters.read_bytes) / kMiB;
  std::printf("%-14s %8.2f s  %9.1f MiB of %.1f MiB read  %8.1f MiB/s  %9.1f MiB new  %9.1f MiB added  peak %.1f MiB\n",
              label, seconds, read, static_cast<double>(counters.size_bytes) / kMiB, read / seconds,
              static_cast<double>(counters.new_bytes) / kMiB, static_cast<double>(writer->added_bytes()) / kMiB,
              peak_mib());
  return result;
}

void restore(const VolumeBackupResult& volume, const std::string& path, const std::shared_ptr<RepositoryDir>& dir,
             const std::shared_ptr<Index>& index, const RepositoryKeysPtr& keys) {
  const Timer timer;
  CancelToken cancel;
  ChunkReader reader(dir, index, kReaderCacheBytes, keys);
  MapReader map(volume.geometry, volume.root, reader);
  CopyCounters counters;
  need(restore_volume(map, reader, {path, false}, counters, cancel));
  const double seconds = timer.seconds();
  const double written = static_cast<double>(counters.processed_bytes - counters.hole_bytes) / kMiB;
  std::printf("%-14s %8.2f s  %9.1f MiB of %.1f MiB written  %5.1f MiB/s  peak %.1f MiB\n", "restore", seconds, written,
              static_cast<double>(counters.total_bytes) / kMiB, written / seconds, peak_mib());
}

}  // namespace
}  // namespace vzv

int main(int argc, char** argv) {
  using namespace vzv;
  Arguments arguments = parse(argc, argv);
  const bool temporary = arguments.directory.empty();
  if (temporary) {
    arguments.directory = (std::filesystem::temp_directory_path() / "vzvault-bench-XXXXXX").string();
    if (::mkdtemp(arguments.directory.data()) == nullptr) give_up("cannot make " + arguments.directory);
  } else if (::mkdir(arguments.directory.c_str(), 0700) != 0) {
    give_up("cannot make " + arguments.directory + ", or it exists");
  }
  const std::string repository = arguments.directory + "/repository";
  if (::mkdir(repository.c_str(), 0700) != 0) give_up("cannot make " + repository);
  auto dir = need(RepositoryDir::open(repository));
  auto index = need(Index::open(dir, arguments.directory + "/cache"));

  SourceAddress source = FileAddress{arguments.source};
  if (arguments.source.starts_with("nbd")) source = NbdUriAddress{arguments.source};
  if (arguments.source.empty()) {
    source = FileAddress{arguments.directory + "/disk.raw"};
    make_disk(arguments.directory + "/disk.raw", arguments.data_mib);
  }
  const std::uint32_t chunk_size_bytes = arguments.chunk_kib * 1024;
  const VolumeBackupResult volume = backup("first backup", source, chunk_size_bytes, dir, index, arguments.keys);
  backup("second backup", source, chunk_size_bytes, dir, index, arguments.keys);
  restore(volume, arguments.directory + "/restored.raw", dir, index, arguments.keys);
  if (temporary) std::filesystem::remove_all(arguments.directory);
  return 0;
}
