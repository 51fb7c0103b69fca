// The life of a small repository: backups of several packs and segments, files beside snapshots that are replaced,
// snapshots that go, collections with compaction, merged segments and deletions. In the order in which the product does
// it; what there is TypeScript's (which names are put and removed when) is done here as src/repository does it.
//
// One thread at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/collect/collection.h"
#include "core/store/document.h"
#include "test/store/store_fixture.h"

namespace vzv::test {

// Which chunk (by the seed that it is made of) stands where in a volume. Numbers that are not named are zero.
using Contents = std::map<std::uint64_t, std::uint64_t>;

// The chunk of a seed.
const TestChunk& history_chunk(std::uint64_t seed);

// What a name held, from some moment on. Moments are numbers of events of a FileRecorder.
struct Version {
  static constexpr std::size_t kNever = SIZE_MAX;
  std::size_t begun;
  std::size_t done;  // when it was promised to last; kNever where that failed
  std::optional<Bytes> bytes;
};
using Versions = std::map<std::string, std::vector<Version>>;

class GuestHistory {
 public:
  // `now` answers the present moment. REQUIRES: both directories are there.
  GuestHistory(std::string repository, std::string cache, std::function<std::size_t()> now);

  // All that there is, one operation after another; ends at the first that fails.
  Status run_all();

  Status back_up(const std::string& time, const Contents& contents);
  Status replace_beside(const std::string& time, const std::string& name, const std::string& text);
  Status forget(const std::string& time);
  // Ends a generation that is pending, else makes a new one.
  Status collect();

  const Versions& versions() const { return versions_; }
  // Every snapshot that is listed, and whole: E_… of what is wrong, E_SNAPSHOT_DAMAGED where a chunk is another.
  Status check_snapshots();
  const std::shared_ptr<RepositoryDir>& dir() const { return dir_; }
  Result<std::shared_ptr<Index>> index() const { return Index::open(dir_, cache_); }

 private:
  struct Snapshot {
    std::string time;
    MapRoot root;
    Contents contents;
  };
  struct Generation {
    std::string name;
    std::vector<Id> packs;
    std::optional<std::vector<Id>> verdict;
  };

  static std::string directory_of(const std::string& time) { return "snapshots/qemu/100/" + time; }
  // Runs `write` of `name` as one version of it.
  Status as_version(const std::string& name, std::optional<Bytes> bytes, const std::function<Status()>& write);
  Result<Id> store(const Contents& contents);
  Result<std::vector<Snapshot>> snapshots();
  Status check_snapshot(const Snapshot& snapshot, ChunkReader& reader);
  Result<std::optional<Generation>> pending();
  Result<Generation> condemn(Collection& collection, const CollectControl& control, CollectCounters& counters);
  Status decide(Generation& generation, Collection& collection, const CollectControl& control);
  Status carry_out(const Generation& generation, Collection& collection, const CollectControl& control,
                   CollectCounters& counters);
  Result<std::vector<Id>> read_packs(DocumentKind kind, const std::string& name);
  Status put_packs(DocumentKind kind, const std::string& name, const std::vector<Id>& packs);

  const std::string cache_;
  const std::function<std::size_t()> now_;
  std::shared_ptr<RepositoryDir> dir_;
  Versions versions_;
};

}  // namespace vzv::test
