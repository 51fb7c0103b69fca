// Which chunks a verification could not read, so that one can look later whether they are back. As texts for
// JavaScript: `data:<id>`, `map-node:<id>`, `catalogue:<id>`.
#pragma once

#include <napi.h>

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_set>

#include "addon/store.h"
#include "core/store/chunk_type.h"

namespace vzv::addon {

// Thread-safe.
class UnreadableChunks {
 public:
  void note(const ChunkKey& key);
  // Null where there are more than limits::kUnreadableListedMax. JavaScript thread only.
  Napi::Value to_js(Napi::Env env) const;

 private:
  mutable std::mutex mutex_;
  std::unordered_set<ChunkKey, ChunkKeyHash> keys_;  // GUARDED BY mutex_
  bool is_full_ = false;                             // GUARDED BY mutex_
};

// A reader of a store's chunks for one verification, which notes what it cannot read.
struct VerifyingReader {
  VerifyingReader(const Store& store, const std::shared_ptr<UnreadableChunks>& unreadable);

  ChunkReader reader;
};

// Nothing where the text names no chunk.
std::optional<ChunkKey> parse_chunk_key(const std::string& text);
std::string format_chunk_key(const ChunkKey& key);

}  // namespace vzv::addon
