#include "core/collect/mark.h"

#include <condition_variable>
#include <mutex>

#include "core/archive/stream_map.h"
#include "core/archive/stream_node.h"
#include "core/base/guarded.h"
#include "core/base/limits.h"
#include "core/base/threads.h"
#include "core/store/map_node.h"

namespace vzv {

namespace {

// A node that is to be walked, and what its place in the map says of it.
struct Node {
  const MapRoot* root;
  Id id;
  unsigned level;
  std::uint64_t first_chunk;   // of a volume: where it begins
  std::uint64_t length_bytes;  // of a stream: what is below it
};

// What cannot be read ends a collection; that the storage fails, or that there is no key, is another matter.
Code code_of_unreadable(Code code) {
  switch (code) {
    case Code::E_CHUNK_DAMAGED:
    case Code::E_CHUNK_MISSING:
    case Code::E_PACK_DAMAGED:
    case Code::E_PACK_MISSING:
    case Code::E_MAP_DAMAGED:
    case Code::E_ARGUMENT_INVALID:
      return Code::E_GC_INCOMPLETE;
    default:
      return code;
  }
}

Status below_root(const Status& status, const MapRoot& root) {
  if (status.ok() || status.code() == Code::E_CANCELLED) return status;
  return {code_of_unreadable(status.code()), "marking below the root " + root.root.hex() + ": " + status.message()};
}

Status check_root(const MapRoot& root) {
  if (root.kind == MapRoot::Kind::kStream) return check_stream_map({root.size_bytes, root.levels, root.root});
  const Result<VolumeGeometry> geometry = VolumeGeometry::make(root.size_bytes, root.chunk_size_bytes);
  if (!geometry.ok()) return geometry.status();
  const bool right = geometry->levels() == root.levels && (root.size_bytes > 0 || root.root.is_zero());
  return right ? Status() : Status(Code::E_MAP_DAMAGED, "a volume's map has not the levels that its size asks for");
}

class Walk {
 public:
  Walk(LiveChunks& live, ChunkReader& reader, NodeCache& nodes, const CollectControl& control,
       CollectCounters& counters)
      : live_(live), reader_(reader), nodes_(nodes), control_(control), counters_(counters) {}

  Status run(const std::vector<MapRoot>& roots) {
    std::vector<Node> first;
    for (const MapRoot& root : roots) VZV_TRY(below_root(begin(root, first), root));
    push(std::move(first));
    Threads threads;
    if (Status started = threads.start(limits::kMarkThreads, [this] { serve(); }); !started.ok())
      fail(std::move(started));
    threads.join();
    std::lock_guard lock(mutex_);
    return error_;
  }

 private:
  Status begin(const MapRoot& root, std::vector<Node>& first) {
    VZV_TRY(check_root(root));
    return reach({&root, root.root, root.levels - 1, 0, root.size_bytes}, first);
  }

  // Adds a node that is to be walked, and was not yet.
  Status reach(const Node& node, std::vector<Node>& found) {
    if (node.id.is_zero()) return {};
    const Result<bool> is_first = live_.begin_walk(node.id, node.root->type);
    if (!is_first.ok()) return is_first.status();
    if (*is_first) found.push_back(node);
    return {};
  }

  Status mark_chunk(const Id& id, ChunkType type) {
    if (id.is_zero()) return {};
    const Result<bool> is_new = live_.mark({id, type});
    if (!is_new.ok()) return is_new.status();
    if (*is_new) counters_.chunks_marked.fetch_add(1, std::memory_order_relaxed);
    return {};
  }

  Result<Bytes> read(const Id& id) {
    if (std::optional<Bytes> remembered = nodes_.find(id)) {
      counters_.nodes_remembered.fetch_add(1, std::memory_order_relaxed);
      nodes_.keep(id, *remembered);
      return std::move(*remembered);
    }
    VZV_TRY(control_.before_reading(limits::kMapNodeMaxBytes));
    const Result<ChunkReader::Chunk> chunk = reader_.read(id, ChunkType::kMapNode);
    if (!chunk.ok()) return chunk.status();
    counters_.nodes_read.fetch_add(1, std::memory_order_relaxed);
    nodes_.keep(id, **chunk);
    return **chunk;
  }

  Status visit(const Node& node, std::vector<Node>& found) {
    VZV_TRY(control_.cancel.status());
    const Result<Bytes> bytes = read(node.id);
    if (!bytes.ok()) return bytes.status();
    const Status status = node.root->kind == MapRoot::Kind::kVolume ? visit_volume_node(node, *bytes, found)
                                                                    : visit_stream_node(node, *bytes, found);
    if (status.code() != Code::E_MAP_DAMAGED) return status;
    return {status.code(), describe_chunk(node.id, ChunkType::kMapNode) + ": " + status.message()};
  }

  Status visit_volume_node(const Node& node, ByteSpan bytes, std::vector<Node>& found) {
    const VolumeGeometry geometry{node.root->size_bytes, node.root->chunk_size_bytes};
    const std::uint32_t count = map_node_children(geometry.chunk_count(), node.level, node.first_chunk);
    const Result<std::vector<Id>> children = decode_map_node(bytes, node.level, count);
    if (!children.ok()) return children.status();
    const std::uint64_t step = map_child_chunks(node.level);
    std::uint64_t first_chunk = node.first_chunk;
    for (const Id& child : *children) {
      VZV_TRY(node.level == 0 ? mark_chunk(child, ChunkType::kData)
                              : reach({node.root, child, node.level - 1, first_chunk, 0}, found));
      first_chunk += step;
    }
    return {};
  }

  Status visit_stream_node(const Node& node, ByteSpan bytes, std::vector<Node>& found) {
    const Result<std::vector<StreamChild>> children =
        decode_stream_node(bytes, node.level, node.length_bytes, node.root->type);
    if (!children.ok()) return children.status();
    for (const StreamChild& child : *children) {
      VZV_TRY(node.level == 0 ? mark_chunk(child.id, node.root->type)
                              : reach({node.root, child.id, node.level - 1, 0, child.length}, found));
    }
    return {};
  }

  void serve() {
    while (std::optional<Node> node = pop()) {
      std::vector<Node> found;
      Status status = guarded([&] { return visit(*node, found); });
      if (!status.ok()) fail(below_root(status, *node->root));
      push(std::move(found));
      done();
    }
  }

  // Waits for a node. nullopt when none will come any more.
  std::optional<Node> pop() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return !error_.ok() || !waiting_.empty() || busy_ == 0; });
    if (!error_.ok() || waiting_.empty()) return std::nullopt;
    const Node node = waiting_.back();
    waiting_.pop_back();
    ++busy_;
    return node;
  }

  // The last comes out first: deep before wide, which bounds what waits. Neighbours are read in their order.
  void push(std::vector<Node> found) {
    if (found.empty()) return;
    {
      std::lock_guard lock(mutex_);
      waiting_.insert(waiting_.end(), found.rbegin(), found.rend());
    }
    changed_.notify_all();
  }

  void done() {
    std::lock_guard lock(mutex_);
    --busy_;
    if (busy_ == 0) changed_.notify_all();
  }

  void fail(Status status) {
    std::lock_guard lock(mutex_);
    if (error_.ok()) error_ = std::move(status);
    changed_.notify_all();
  }

  LiveChunks& live_;
  ChunkReader& reader_;
  NodeCache& nodes_;
  const CollectControl& control_;
  CollectCounters& counters_;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Node> waiting_;  // GUARDED BY mutex_
  unsigned busy_ = 0;          // GUARDED BY mutex_; threads that have a node
  Status error_;               // GUARDED BY mutex_; the first
};

}  // namespace

Status mark_roots(const std::vector<MapRoot>& roots, LiveChunks& live, ChunkReader& reader, NodeCache& nodes,
                  const CollectControl& control, CollectCounters& counters) {
  const std::uint64_t opened_before = reader.counters().packs_opened;
  Status status = Walk(live, reader, nodes, control, counters).run(roots);
  counters.files_opened.fetch_add(reader.counters().packs_opened - opened_before, std::memory_order_relaxed);
  live.release_pages();
  if (!status.ok()) live.forget_walked();
  return status;
}

}  // namespace vzv
