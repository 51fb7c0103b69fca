// A repository's chunks, opened, and one writer of them, as JavaScript holds them.
#pragma once

#include <napi.h>

#include <memory>
#include <utility>

#include "addon/async.h"
#include "addon/convert.h"
#include "core/pipeline/rate_limiter.h"
#include "core/store/chunk_reader.h"
#include "core/store/chunk_writer.h"
#include "core/store/index.h"
#include "core/store/repository_dir.h"
#include "core/store/repository_keys.h"

namespace vzv::addon {

// Kept by every job that runs on it, so that closing never pulls anything away from under one.
struct Store {
  std::shared_ptr<RepositoryDir> dir;
  std::shared_ptr<Index> index;
  RepositoryKeysPtr keys;  // null: the repository is not encrypted, or only what needs no key is asked for
  std::unique_ptr<ChunkReader> reader;
};

struct Writer {
  Writer(std::shared_ptr<Store> of, std::uint64_t bandwidth_limit_bytes_per_second)
      : store(std::move(of)), limiter(bandwidth_limit_bytes_per_second, RateLimiter::Clock::now()) {}

  const std::shared_ptr<Store> store;
  RateLimiter limiter;  // of all volumes and archives together
  std::unique_ptr<ChunkWriter> chunks;
};

// A handle's object until it is closed. JavaScript thread only.
template <typename T>
struct Closable {
  std::shared_ptr<T> open;
};
using BoundStore = Closable<Store>;
using BoundWriter = Closable<Writer>;

// The open object of a handle; throws and answers nothing where it was closed or is of another kind.
template <typename T>
std::shared_ptr<T> open_argument(const Napi::CallbackInfo& info, std::size_t index) {
  auto bound = AnyHandle::argument<Closable<T>>(info, index);
  if (bound && !bound->open) throw_status(info.Env(), Status(Code::E_INTERNAL, "it was closed already"));
  return bound ? bound->open : nullptr;
}

// Closes a handle: what it held goes on a thread, as soon as no job uses it. A promise of that, or of nothing where it
// was closed already.
template <typename T>
Napi::Value close_argument(const Napi::CallbackInfo& info, std::size_t index) {
  auto bound = AnyHandle::argument<Closable<T>>(info, index);
  if (!bound) return {};
  return run_on_thread(info.Env(), "vzv-close", [object = std::exchange(bound->open, nullptr)]() mutable {
    object.reset();
    return Status();
  });
}

}  // namespace vzv::addon
