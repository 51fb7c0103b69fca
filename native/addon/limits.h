// Bounds of the addon alone, each with its reason. Those of the core stand in core/base/limits.h.
#pragma once

#include <cstddef>
#include <cstdint>

namespace vzv::addon::limits {

// Calls on one directory that run at once: enough to keep a server's round trips busy, few enough that a hung mount
// costs little.
inline constexpr std::size_t kDirectoryThreads = 4;
// Calls that wait for those: the largest burst is a listing's look at a few dozen snapshots. More means that the mount
// hangs.
inline constexpr std::size_t kDirectoryWaiting = 256;

// Connections that the socket keeps, whatever JavaScript allows: it refuses those beyond its own, lower bound with a
// reason.
inline constexpr std::size_t kConnections = 512;
// Bytes of one connection that were received and not handled yet. Reading stops there, so that a busy JavaScript thread
// costs kConnections times this at most.
inline constexpr std::size_t kUnhandledBytes = 256 * 1024;
// One recvmsg(2).
inline constexpr std::size_t kReceiveBytes = 64 * 1024;
// Descriptors with one frame (docs/protocol.md). The kernel closes what comes beyond.
inline constexpr std::size_t kDescriptors = 64;
// Waiting connections in the kernel.
inline constexpr int kBacklog = 128;
// When the process has no descriptor left, accepting is tried again after this.
inline constexpr int kAcceptRetryMs = 100;

// Decoded chunks that one opened store keeps: the map nodes of a few volumes and what neighbouring reads share.
// Backups, restores and verifications read each data chunk once.
inline constexpr std::uint64_t kStoreCacheBytes = 32 * 1024 * 1024;
// Chunks that one verification names as unreadable: as many as a verify state has room for (docs/format.md, Document).
inline constexpr std::size_t kUnreadableListedMax = 128;

}  // namespace vzv::addon::limits
