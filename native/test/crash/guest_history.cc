#include "test/crash/guest_history.h"

#include <algorithm>
#include <sstream>

#include "core/base/bytes.h"
#include "core/store/map_reader.h"
#include "core/store/map_writer.h"
#include "core/store/pack_format.h"
#include "core/store/segment_format.h"

namespace vzv::test {

namespace {

constexpr std::uint32_t kChunkSizeBytes = 256 * 1024;
constexpr std::uint64_t kChunks = 520;  // two levels of map nodes
// Small, so that a backup makes several of each; no multiple of a block.
constexpr std::size_t kStoredChunkBytes = 3001;
constexpr std::uint64_t kPackBytes = 8000;
constexpr std::size_t kSegmentEntries = 4;
const std::string kCollector(32, 'c');
const std::string kCondemned = "condemned/";

VolumeGeometry geometry() { return VolumeGeometry::make(kChunks * kChunkSizeBytes, kChunkSizeBytes).value(); }

std::string text_of(const Bytes& bytes) { return {bytes.begin(), bytes.end()}; }

MapRoot root_of(const Id& id) {
  MapRoot root;
  root.size_bytes = geometry().size_bytes;
  root.chunk_size_bytes = kChunkSizeBytes;
  root.levels = geometry().levels();
  root.root = id;
  return root;
}

std::string describe(const Id& root, const Contents& contents) {
  std::string text = root.hex();
  for (const auto& [number, seed] : contents) text += " " + std::to_string(number) + " " + std::to_string(seed);
  return text;
}

}  // namespace

const TestChunk& history_chunk(std::uint64_t seed) {
  static std::map<std::uint64_t, TestChunk> made;
  const auto found = made.find(seed);
  return found != made.end() ? found->second : made.emplace(seed, random_chunk(seed, kStoredChunkBytes)).first->second;
}

GuestHistory::GuestHistory(std::string repository, std::string cache, std::function<std::size_t()> now)
    : cache_(std::move(cache)), now_(std::move(now)), dir_(must(RepositoryDir::open(std::move(repository)))) {}

Status GuestHistory::run_all() {
  const Contents first{{0, 1}, {1, 2}, {2, 3}, {255, 4}, {256, 5}, {519, 6}, {300, 7}};
  Contents second = first;
  for (std::uint64_t n = 0; n < 5; ++n) second[n] = 20 + n;
  Contents third = second;
  third[400] = 40;
  third[401] = 41;
  VZV_TRY(back_up("1", first));
  VZV_TRY(replace_beside("1", "verify-state", "unknown"));
  VZV_TRY(back_up("2", second));
  VZV_TRY(replace_beside("1", "verify-state", "intact"));
  VZV_TRY(replace_beside("2", "notes", "before the upgrade"));
  VZV_TRY(forget("1"));
  VZV_TRY(collect());
  VZV_TRY(back_up("3", third));
  VZV_TRY(forget("2"));
  VZV_TRY(back_up("4", first));
  VZV_TRY(collect());
  return collect();
}

Status GuestHistory::as_version(const std::string& name, std::optional<Bytes> bytes,
                                const std::function<Status()>& write) {
  std::vector<Version>& versions = versions_[name];
  versions.push_back({now_(), Version::kNever, std::move(bytes)});
  VZV_TRY(write());
  versions.back().done = now_();
  return {};
}

Result<Id> GuestHistory::store(const Contents& contents) {
  Result<std::shared_ptr<Index>> known = index();
  if (!known.ok()) return known.status();
  const Result<std::optional<Generation>> condemned = pending();
  if (!condemned.ok()) return condemned.status();
  ChunkWriterOptions options{.pack_target_bytes = kPackBytes, .segment_entries = kSegmentEntries};
  options.session = std::string(32, 'a');
  if (*condemned) options.excluded = (*condemned)->packs;
  auto writer = ChunkWriter::create(dir_, *known, options);
  if (!writer.ok()) return writer.status();
  MapWriter map(geometry(), **writer);
  for (const auto& [number, seed] : contents) {
    const TestChunk& chunk = history_chunk(seed);
    const auto put = (*writer)->put(ChunkType::kData, chunk.id, chunk.bytes);
    if (!put.ok()) return put.status();
    VZV_TRY(map.set(number, chunk.id));
  }
  const Result<Id> root = map.finish();
  if (!root.ok()) return root;
  VZV_TRY((*writer)->flush());
  return root;
}

Status GuestHistory::back_up(const std::string& time, const Contents& contents) {
  const Result<Id> root = store(contents);
  if (!root.ok()) return root.status();
  const std::string name = directory_of(time) + "/snapshot";
  const std::string text = describe(*root, contents);
  Result<Bytes> sealed = seal_document(DocumentKind::kSnapshot, name, as_bytes(text), nullptr);
  if (!sealed.ok()) return sealed.status();
  const Bytes bytes = std::move(*sealed);
  return as_version(name, bytes, [&] { return dir_->put_if_absent(name, bytes); });
}

Status GuestHistory::replace_beside(const std::string& time, const std::string& name, const std::string& text) {
  const std::string path = directory_of(time) + "/" + name;
  const ByteSpan plain = as_bytes(text);
  return as_version(path, Bytes(plain.begin(), plain.end()), [&] { return dir_->replace(path, plain); });
}

Status GuestHistory::forget(const std::string& time) {
  const std::string directory = directory_of(time);
  for (const char* name : {"snapshot", "notes", "verify-state"}) {
    const std::string path = directory + "/" + name;
    VZV_TRY(as_version(path, std::nullopt, [&] { return dir_->remove(path).status(); }));
  }
  return dir_->remove(directory).status();
}

Result<std::vector<GuestHistory::Snapshot>> GuestHistory::snapshots() {
  std::vector<Snapshot> found;
  const auto times = dir_->list("snapshots/qemu/100");
  if (!times.ok()) return times.status();
  if (!*times) return found;
  for (const auto& entry : **times) {
    const std::string name = directory_of(entry.name) + "/snapshot";
    const auto sealed = dir_->read(name, 1'000'000);
    if (!sealed.ok()) return sealed.status();
    if (!*sealed) continue;
    const auto plain = open_document(DocumentKind::kSnapshot, name, **sealed, nullptr);
    if (!plain.ok()) return plain.status();
    std::istringstream words(text_of(*plain));
    std::string root;
    words >> root;
    Snapshot snapshot{entry.name, root_of(*Id::from_hex(root)), {}};
    for (std::uint64_t number, seed; words >> number >> seed;) snapshot.contents[number] = seed;
    found.push_back(std::move(snapshot));
  }
  return found;
}

Status GuestHistory::check_snapshot(const Snapshot& snapshot, ChunkReader& reader) {
  MapReader map(geometry(), snapshot.root.root, reader);
  std::uint64_t number = 0;
  for (const auto& [expected, seed] : snapshot.contents) {
    const auto next = map.next_data(number);
    if (!next.ok()) return next.status();
    const TestChunk& chunk = history_chunk(seed);
    const auto id = map.chunk(*next);
    if (!id.ok()) return id.status();
    const Status wrong(Code::E_SNAPSHOT_DAMAGED, "chunk " + std::to_string(expected) + " of " + snapshot.time);
    if (*next != expected || *id != chunk.id) return wrong;
    const auto bytes = reader.read(*id, ChunkType::kData, kStoredChunkBytes);
    if (!bytes.ok()) return bytes.status();
    if (**bytes != chunk.bytes) return wrong;
    number = expected + 1;
  }
  const auto beyond = map.next_data(number);
  if (!beyond.ok()) return beyond.status();
  return *beyond == kChunks ? Status() : Status(Code::E_SNAPSHOT_DAMAGED, snapshot.time + " has chunks too many");
}

Status GuestHistory::check_snapshots() {
  Result<std::shared_ptr<Index>> known = index();
  if (!known.ok()) return known.status();
  for (const Status& damaged : (*known)->damaged_segments()) return damaged;
  const Result<std::vector<Snapshot>> listed = snapshots();
  if (!listed.ok()) return listed.status();
  ChunkReader reader(dir_, *known, 100'000);
  for (const Snapshot& snapshot : *listed) VZV_TRY(check_snapshot(snapshot, reader));
  return {};
}

Result<std::vector<Id>> GuestHistory::read_packs(DocumentKind kind, const std::string& name) {
  const auto sealed = dir_->read(name, 1'000'000);
  if (!sealed.ok()) return sealed.status();
  if (!*sealed) return Status(Code::E_INTERNAL, name + " is not there");
  const auto plain = open_document(kind, name, **sealed, nullptr);
  if (!plain.ok()) return plain.status();
  std::istringstream words(text_of(*plain));
  std::vector<Id> packs;
  for (std::string word; words >> word;) {
    if (word != "packs") packs.push_back(*Id::from_hex(word));
  }
  return packs;
}

Status GuestHistory::put_packs(DocumentKind kind, const std::string& name, const std::vector<Id>& packs) {
  std::string text = "packs";
  for (const Id& pack : packs) text += " " + pack.hex();
  const auto sealed = seal_document(kind, name, as_bytes(text), nullptr);
  if (!sealed.ok()) return sealed.status();
  return dir_->put_if_absent(name, *sealed);
}

Result<std::optional<GuestHistory::Generation>> GuestHistory::pending() {
  const auto entries = dir_->list("condemned");
  if (!entries.ok()) return entries.status();
  if (!*entries) return std::optional<Generation>();
  const auto has = [&](const std::string& name) {
    return std::any_of((*entries)->begin(), (*entries)->end(), [&](const auto& entry) { return entry.name == name; });
  };
  for (const auto& entry : **entries) {
    if (entry.name.find('.') != std::string::npos || has(entry.name + ".done")) continue;
    Generation generation{kCondemned + entry.name, {}, {}};
    auto packs = read_packs(DocumentKind::kCondemned, generation.name);
    if (!packs.ok()) return packs.status();
    generation.packs = std::move(*packs);
    if (has(entry.name + ".verdict")) {
      auto verdict = read_packs(DocumentKind::kVerdict, generation.name + ".verdict");
      if (!verdict.ok()) return verdict.status();
      generation.verdict = std::move(*verdict);
    }
    return std::optional<Generation>(std::move(generation));
  }
  return std::optional<Generation>();
}

Result<GuestHistory::Generation> GuestHistory::condemn(Collection& collection, const CollectControl& control,
                                                       CollectCounters& counters) {
  const auto uses = collection.packs(control);
  if (!uses.ok()) return uses.status();
  std::vector<Id> going;
  for (const PackUse& use : *uses) {
    if (use.live_stored_bytes * 2 < use.file_bytes) going.push_back(use.id);
  }
  const auto compacted = collection.compact(going, control, counters);
  if (!compacted.ok()) return compacted.status();
  const auto entries = dir_->list("condemned");
  if (!entries.ok()) return entries.status();
  std::uint64_t highest = 0;
  if (*entries) {
    for (const auto& entry : **entries) highest = std::max(highest, std::uint64_t{std::stoull(entry.name)});
  }
  std::string digits = std::to_string(highest + 1);
  digits.insert(0, 12 - digits.size(), '0');
  const Generation generation{kCondemned + digits, going, {}};
  VZV_TRY(put_packs(DocumentKind::kCondemned, generation.name, going));
  return generation;
}

Status GuestHistory::decide(Generation& generation, Collection& collection, const CollectControl& control) {
  const auto needed = collection.still_needed(generation.packs, control);
  if (!needed.ok()) return needed.status();
  std::vector<Id> verdict = generation.packs;
  std::erase_if(verdict, [&](const Id& id) { return std::find(needed->begin(), needed->end(), id) != needed->end(); });
  VZV_TRY(put_packs(DocumentKind::kVerdict, generation.name + ".verdict", verdict));
  generation.verdict = std::move(verdict);
  return {};
}

Status GuestHistory::carry_out(const Generation& generation, Collection& collection, const CollectControl& control,
                               CollectCounters& counters) {
  const auto merged = collection.merge_segments(*generation.verdict, control, counters);
  if (!merged.ok()) return merged.status();
  for (const Id& segment : merged->replaced) VZV_TRY(dir_->remove(segment_name(segment)).status());
  for (const Id& pack : *generation.verdict) VZV_TRY(dir_->remove(pack_name(pack)).status());
  VZV_TRY(put_packs(DocumentKind::kCollected, generation.name + ".done", *generation.verdict));
  VZV_TRY(dir_->remove(generation.name + ".verdict").status());
  return dir_->remove(generation.name).status();
}

Status GuestHistory::collect() {
  Result<std::shared_ptr<Index>> known = index();
  if (!known.ok()) return known.status();
  auto collection = Collection::create(dir_, *known, {.session = kCollector});
  if (!collection.ok()) return collection.status();
  const Result<std::vector<Snapshot>> listed = snapshots();
  if (!listed.ok()) return listed.status();
  std::vector<MapRoot> roots;
  for (const Snapshot& snapshot : *listed) roots.push_back(snapshot.root);
  const CancelToken cancel;
  const CollectControl control{cancel, {}};
  CollectCounters counters;
  VZV_TRY((*collection)->mark(roots, control, counters));
  Result<std::optional<Generation>> begun = pending();
  if (!begun.ok()) return begun.status();
  if (!*begun) {
    Result<Generation> made = condemn(**collection, control, counters);
    if (!made.ok()) return made.status();
    *begun = std::move(*made);
  }
  Generation& generation = **begun;
  if (!generation.verdict) VZV_TRY(decide(generation, **collection, control));
  VZV_TRY(carry_out(generation, **collection, control, counters));
  (*collection)->close();
  return {};
}

}  // namespace vzv::test
