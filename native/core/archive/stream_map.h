// The map of a stream: writing it from pieces that come in order, and looking pieces up in it by their offset.
//
// An archive has two streams, its data and its catalogue. A stream is cut into pieces, each a chunk of the stream's
// type (data: or the zero sentinel); the map is a tree of nodes cut by content, a function of the pieces alone.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "core/archive/stream_node.h"
#include "core/store/chunk_reader.h"
#include "core/store/chunk_writer.h"

namespace vzv {

// What a snapshot keeps of a stream. An empty one: no bytes, one level, the zero sentinel as root.
struct StreamMap {
  std::uint64_t size_bytes = 0;
  unsigned levels = 1;
  Id root;

  bool operator==(const StreamMap&) const = default;
};

// E_MAP_DAMAGED where no stream can be described so.
Status check_stream_map(const StreamMap& map);

// A piece of a stream: [offset, offset + length).
struct StreamPiece {
  Id id;  // the zero sentinel: all zero
  std::uint64_t offset = 0;
  std::uint32_t length = 0;
};

// Holds one unfinished node a level. One thread at a time.
class StreamWriter {
 public:
  // REQUIRES: the writer outlives this.
  explicit StreamWriter(ChunkWriter& writer) : writer_(writer) {}

  // The next piece of the stream, which the caller puts (before or after). Nodes that are full are put.
  // REQUIRES: length > 0, at most what the stream's type allows
  Status append(const Id& id, std::uint32_t length);
  std::uint64_t size_bytes() const { return size_bytes_; }

  // Nothing can be appended afterwards. The nodes are durable after the ChunkWriter's flush().
  Result<StreamMap> finish();

 private:
  struct Level {
    std::vector<StreamChild> children;  // of the unfinished node
    std::uint64_t nodes = 0;            // finished ones
    StreamChild last;                   // of those
  };

  Status add(unsigned level, const StreamChild& child);
  // Puts the unfinished node of a level, and answers it as a child of the level above.
  Result<StreamChild> close_node(unsigned level);

  ChunkWriter& writer_;
  std::vector<Level> levels_;
  std::uint64_t size_bytes_ = 0;
};

// Nodes and pieces come from the ChunkReader, whose cache is what makes neighbouring lookups cheap. Every node is
// checked against the place it stands in. Thread-safe.
class StreamReader {
 public:
  // REQUIRES: check_stream_map(map) is a success; the reader outlives this. `type` is that of the stream's pieces.
  StreamReader(const StreamMap& map, ChunkType type, ChunkReader& reader) : map_(map), type_(type), reader_(reader) {}

  const StreamMap& map() const { return map_; }
  std::uint64_t size_bytes() const { return map_.size_bytes; }

  // The piece that holds the byte at `offset`. E_MAP_DAMAGED or E_CHUNK_* naming the node, E_ARGUMENT_INVALID unless
  // offset < size_bytes().
  Result<StreamPiece> piece(std::uint64_t offset);
  // The bytes of a piece; null where they are all zero.
  Result<ChunkReader::Chunk> bytes(const StreamPiece& piece);
  // Fills `buffer` from `offset`. REQUIRES: offset + buffer.size() <= size_bytes()
  Status read(std::uint64_t offset, std::span<std::uint8_t> buffer);

  // For who goes on behind a node that cannot be read: the range of the stream below the lowest such node on the way
  // to `offset`, `piece(offset)` having failed. [offset, end of it)
  std::uint64_t end_of_unreadable(std::uint64_t offset);

 private:
  struct Place {
    Id node;
    unsigned level = 0;
    std::uint64_t offset = 0;
    std::uint64_t length = 0;
  };

  Result<std::vector<StreamChild>> children(const Place& place);
  // Goes down from `place` (the root at first) to the child that holds `offset`. Where a node cannot be read, `place`
  // is its.
  Status descend(std::uint64_t offset, Place& place, StreamPiece& piece);

  const StreamMap map_;
  const ChunkType type_;
  ChunkReader& reader_;
};

}  // namespace vzv
