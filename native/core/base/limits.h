// Every bound that the core relies on, each with its reason. The TypeScript side has its own in src/lib/limits.ts;
// those of the repository format stand in docs/format.md, which they must equal.
#pragma once

#include <cstddef>
#include <cstdint>

namespace vzv::limits {

inline constexpr std::uint64_t kKiB = 1024;
inline constexpr std::uint64_t kMiB = 1024 * kKiB;

// --- Format 1 (docs/format.md) ---

// The largest chunk of a volume that `vzvault init` offers; bounds every decode buffer.
inline constexpr std::uint32_t kDataChunkMaxBytes = 4 * kMiB;
// A map node of 256 children: 16 bytes of header and 256 ids, with a length beside each in the map of a stream.
inline constexpr std::uint32_t kMapNodeMaxBytes = 16 + 256 * 40;
// A piece of a catalogue is as large as a chunk of data may be, so that one decode buffer serves both.
inline constexpr std::uint32_t kCataloguePieceMaxBytes = 4 * kMiB;
// What a codec or a suite may add to a plain chunk (a zstd frame around what does not shrink, an authentication tag).
inline constexpr std::uint32_t kSealOverheadMaxBytes = 64 * kKiB;
inline constexpr std::uint32_t kStoredChunkMaxBytes = kDataChunkMaxBytes + kSealOverheadMaxBytes;
// A table of as many entries is 52 MiB: the most that reading one pack's table may allocate.
inline constexpr std::uint32_t kPackEntriesMax = 1'048'576;
// Offsets in a pack stay below 2^32 (a segment keeps them in 32 bits), and a pack is checked and moved in one go.
inline constexpr std::uint64_t kPackMaxBytes = 256 * kMiB;
// With the smallest chunks 2^40 of them are 256 PiB; more than any disk, and few enough that sums of sizes fit in 64
// bits.
inline constexpr std::uint64_t kVolumeChunksMax = 1ULL << 40;
// Levels of a map over that many chunks.
inline constexpr unsigned kMapLevelsMax = 5;
inline constexpr unsigned kMapFanout = 256;
// Levels of a stream's map over as many chunks, where a node may have no more than 32 children: 32^8 are 2^40.
inline constexpr unsigned kStreamLevelsMax = 8;
inline constexpr unsigned kStreamFanoutMin = 32;
// A path in an archive: sixteen times PATH_MAX, since a tree may be deeper than one path name can say.
inline constexpr std::size_t kMemberPathMaxBytes = 64 * kKiB;
// PATH_MAX with its NUL: no symbolic link on Linux is longer.
inline constexpr std::size_t kSymlinkTargetMaxBytes = 4'095;
// XATTR_NAME_MAX and XATTR_SIZE_MAX of Linux.
inline constexpr std::size_t kXattrNameMaxBytes = 255;
inline constexpr std::size_t kXattrValueMaxBytes = 64 * kKiB;
// All names and values of one member: 32 attributes of the largest size, half of what a catalogue piece may hold.
inline constexpr std::size_t kMemberXattrsMaxBytes = 2 * kMiB;
// An ACL that fills the largest extended attribute has 8,191 entries, each of which takes up to 30 bytes as text.
inline constexpr std::size_t kAclTextMaxBytes = 256 * kKiB;
// Extents in one record of a catalogue; those of a file that has more are continued in further records.
inline constexpr std::size_t kRecordExtentsMax = 16'384;
// Extents of one file, in memory at 16 bytes each while its record is made: a table of 256 GiB whose 16 KiB pages each
// end in a hole, which databases make.
inline constexpr std::size_t kSparseExtentsMax = 1U << 24;
// Sizes stay exact as numbers in JSON.
inline constexpr std::uint64_t kArchiveSizeMax = 1ULL << 53;
// Paths in an archive, directories that no member tells of among them: as many as ext4 makes inodes for on a tebibyte.
// Whether they fit together is known by 16 bytes each, in a table of at most 2 GiB.
inline constexpr std::uint64_t kArchivePathsMax = 1ULL << 26;
// What a device number of Linux has room for (linux/kdev_t.h).
inline constexpr std::uint32_t kDeviceMajorMax = (1U << 12) - 1;
inline constexpr std::uint32_t kDeviceMinorMax = (1U << 20) - 1;
// A snapshot document lists a guest's disks and configuration, a log its backup's messages: megabytes would be odd
// already.
inline constexpr std::uint32_t kDocumentPlainMaxBytes = 16 * kMiB;
inline constexpr std::uint32_t kDocumentStoredMaxBytes = kDocumentPlainMaxBytes + kSealOverheadMaxBytes;

// --- Ours ---

// A pack is finished once it holds this much: large enough that a repository of 100 TiB has some million files, small
// enough that losing the unfinished one at a crash costs a second of work.
inline constexpr std::uint64_t kPackTargetBytes = 64 * kMiB;
// No pack of ours nears the format's limit: room for one more chunk and the table of what is in it must remain.
inline constexpr std::uint64_t kPackTargetMaxBytes = 128 * kMiB;
// A writer's map nodes are few and small: a pack of them is finished early, so that reading a map reads little else.
inline constexpr std::uint64_t kMapPackTargetBytes = 16 * kMiB;
// Appended bytes are handed to the kernel in pieces of this size: network file systems like large writes.
inline constexpr std::size_t kWriteBufferBytes = 1 * kMiB;
// Reading whole files (verification, copying a segment) goes in pieces of this size.
inline constexpr std::size_t kReadBufferBytes = 1 * kMiB;
// A segment is written for every so many chunks: 16 GiB of data at 512 KiB, 1.8 MiB of memory for those that wait for
// it.
inline constexpr std::size_t kSegmentEntries = 32'768;
// What a merge of a whole large repository might hold: 2^32 chunks are 2 PiB at 512 KiB. Keeps sums of lengths far
// below 2^64.
inline constexpr std::uint64_t kSegmentEntriesMax = 1ULL << 32;
// 2^26 packs of 64 MiB are 4 PiB.
inline constexpr std::uint32_t kSegmentPacksMax = 1U << 26;
// A verification makes a segment's filter anew to compare, up to this size: ten times that of the largest that a merge
// writes. The filter of a longer one is checked where the index is opened.
inline constexpr std::uint64_t kSegmentCheckFilterMaxBytes = 64 * kMiB;
// How often readers look again for what they miss, at the most: a listing of packs/ is 257 calls.
inline constexpr std::int64_t kMissRefreshIntervalMs = 5'000;
// Live chunks without a place that one collection keeps in mind, some 80 bytes each. A repository that lacks more must
// be mended before anything in it is judged to be garbage.
inline constexpr std::size_t kMissingChunksMax = 524'288;
// The cache of map nodes, on the disk of the node that collects: those of some hundred million chunks. What is not in
// it is read from the repository.
inline constexpr std::uint64_t kNodeCacheMaxBytes = 4ULL << 30;
// Map nodes in it: at most 100 MiB of memory for their places, 160 MiB while they are read.
inline constexpr std::uint64_t kRememberedNodesMax = 1ULL << 22;
// A merged segment: 224 MiB, which every node copies when it is made anew. A repository of 100 TiB has some dozens.
inline constexpr std::uint64_t kMergedSegmentEntries = 1ULL << 22;
// Segments are merged where the next larger one is less than so many times what is below it.
inline constexpr std::uint64_t kMergeFactor = 3;
// Threads that walk maps for a collection: they hide the round trips of a network file system.
inline constexpr unsigned kMarkThreads = 4;
// What a process left unfinished in the cache directory is removed once it is this old; no copy takes as long.
inline constexpr std::int64_t kCacheLeftoverAgeMs = 24 * 3600 * 1000LL;
// Packs kept open by one reader: an open costs a round trip on NFS, a descriptor costs little.
inline constexpr std::size_t kOpenPacksMax = 64;
// Damages that one verification lists; of further ones only the number is kept, so that a lost disk does not fill
// memory.
inline constexpr std::size_t kDamagesListedMax = 1'000;
// Directories that are remembered as durable: the 256 of packs/ and the snapshots of a busy day, in some hundred KiB.
// One that is forgotten costs an fsync.
inline constexpr std::size_t kDurableDirectoriesMax = 4'096;
// NAME_MAX and PATH_MAX of Linux.
inline constexpr std::size_t kNameComponentMaxBytes = 255;
inline constexpr std::size_t kNameMaxBytes = 4'095;

// A piece of a catalogue ends behind a record that chance chooses, once it has the least; at the latest once it has the
// most. About 32 KiB: what a changed file costs, and what zstd still compresses well.
inline constexpr std::size_t kCataloguePieceLeastBytes = 16 * kKiB;
inline constexpr std::size_t kCataloguePieceMostBytes = 256 * kKiB;

// Extended headers of one member of a tar stream in all: the largest attributes, twice the largest path and ACL, and as
// much again. What announces more is no archive of a file system.
inline constexpr std::size_t kTarHeadersMaxBytes = 8 * kMiB;
// Read from a tar stream in one go.
inline constexpr std::size_t kTarBufferBytes = 1 * kMiB;

// --- vzvault-fuse (docs/mount.md) ---

// A node of a mount spec takes some 250 bytes of JSON: room for all disks of a thousand guests with a hundred backups
// each.
inline constexpr std::size_t kMountSpecMaxBytes = 64 * kMiB;
inline constexpr std::size_t kMountNodesMax = 262'144;
// Eleven JSON values describe a volume; more than twice that many a node is no mount spec.
inline constexpr std::size_t kMountSpecValuesMax = 24 * kMountNodesMax;
// The spec's own nesting is 5 levels.
inline constexpr unsigned kMountSpecDepthMax = 8;
// A configuration file of a guest is some kilobytes; the RPC lets through no more than this (docs/protocol.md).
inline constexpr std::size_t kMountFileMaxBytes = 8 * kMiB;
// The cache of decoded chunks: at least the chunks that two readers touch at once, at most what a node can spare.
inline constexpr std::uint64_t kMountCacheMinBytes = 16 * kMiB;
inline constexpr std::uint64_t kMountCacheDefaultBytes = 64 * kMiB;
inline constexpr std::uint64_t kMountCacheMaxBytes = 4096 * kMiB;
// The largest read that the kernel sends: what libfuse's buffers hold, and a reply buffer of each thread.
inline constexpr std::uint32_t kMountReadMaxBytes = 1 * kMiB;
// What is decoded ahead of one sequential reader; all of them together get half of the cache.
inline constexpr std::uint64_t kMountReadAheadBytes = 8 * kMiB;
// Chunks that wait for a read-ahead thread. Beyond it they are dropped: the reader fetches them itself.
inline constexpr std::size_t kMountReadAheadQueue = 64;
// Threads that answer the kernel, and threads that decode ahead: twice and once the processors, within these.
inline constexpr unsigned kMountThreadsMin = 4;
inline constexpr unsigned kMountThreadsMax = 16;
inline constexpr unsigned kMountReadAheadThreadsMax = 8;
// Faults that the log remembers, so as to say each once a minute only.
inline constexpr std::size_t kMountFaultsRemembered = 4'096;

// Trees of archives that are kept while nobody has them open: 2.5 million members. A tree that goes is built again from
// its catalogue.
inline constexpr std::uint64_t kMountTreesBytes = 256 * kMiB;
// A place in root.tar is remembered for every so many members: 24 bytes each, and a random read passes over half as
// many.
inline constexpr std::uint64_t kTarCheckpointMembers = 256;
// Readers of one root.tar that are kept between reads, each of which knows where it is: tar is one, few will ever run
// at once.
inline constexpr std::size_t kMountTarReadersMax = 4;
// A file of at least this size without holes is an ordinary member of root.tar, which tar unpacks twice as fast as a
// sparse one; a listing then decodes the chunk at its end, at most 2 MiB.
inline constexpr std::uint64_t kTarPlainFileMinBytes = 256 * kMiB;

// --- Sources and pipelines ---

// Reads in flight at an NBD server: enough to hide a round trip; qemu takes 16 requests of a client at once and leaves
// more waiting.
inline constexpr unsigned kNbdReadsInFlight = 16;
// A request for block status has 32 bits for its length; a multiple of every block size that NBD allows.
inline constexpr std::uint64_t kBlockStatusMaxBytes = 0xFFFF'0000;
// Any NBD server takes reads up to this size unless it names another (NBD protocol, "Block size constraints").
inline constexpr std::uint64_t kNbdReadMaxBytes = 32 * kMiB;
// What one answer about extents may make us remember, 24 bytes each; what lies beyond is asked for again.
inline constexpr std::size_t kExtentsMax = 65'536;
// Dirty regions that may be handed over at once, 16 bytes each: the RPC lets through a sixteenth (docs/protocol.md).
inline constexpr std::size_t kRegionBatchMax = 65'536;
// What is discarded is a multiple of this: the granule of QEMU's bitmaps and copy-before-write, below which nothing is
// freed.
inline constexpr std::uint64_t kDiscardGranuleBytes = 4 * kMiB;
// The most that one request discards: a server may take its time for each byte, and NBD has 32 bits for a length.
inline constexpr std::uint64_t kDiscardMaxBytes = 1024 * kMiB;
// Discards in flight: they go beside the reads and must not crowd them out.
inline constexpr unsigned kDiscardsInFlight = 4;
// Ranges that wait for their pack or their neighbours: all are looked at for each read. Neighbours in one pack are one
// range, so this is for disks where new and known chunks alternate. Beyond it the oldest are never discarded.
inline constexpr std::size_t kDiscardsWaitingMax = 4'096;
// Threads that read a file: they keep a disk with a queue busy, more would not make a page cache faster.
inline constexpr unsigned kFileThreads = 4;
// Reads of a file under way or waiting for a thread.
inline constexpr unsigned kFileReadsInFlight = 8;
// A backup reads neighbouring chunks in one go up to this size: where larger reads stop being faster.
inline constexpr std::uint32_t kBackupReadBytes = 1 * kMiB;
// Buffers of one volume's backup in total, filling, waiting and being stored: 32 reads, or 8 chunks of the largest
// size.
inline constexpr std::uint64_t kBackupBuffersBytes = 32 * kMiB;
// Reads whose chunks are not in the map yet, since those before them are not (a name and its place each).
inline constexpr std::uint64_t kBackupWindow = 256;
// A file that stores at least so much has pieces of its own: unchanged, it is found again wherever it stands. Smaller
// ones share pieces, which would else be too small to be worth their index entry.
inline constexpr std::uint64_t kLargeFileBytes = 256 * kKiB;
// Bytes of an archive that wait to be stored: as many as for a volume. One piece more may come on top.
inline constexpr std::uint64_t kArchiveBuffersBytes = 32 * kMiB;
// Pieces that are not in its map yet, since those before them are not: what the small ones of 32 MiB may be.
inline constexpr std::uint64_t kArchiveWindow = 1'024;
// Threads that hash, compress and store (or read, decode and write) for one volume. Two, so that one that waits for the
// disk does not stop the other; four, so that two volumes at once leave a node something for its guests.
inline constexpr unsigned kWorkersMin = 2;
inline constexpr unsigned kWorkersMax = 4;
// One call of the kernel zeroes or copies no more than this, so that cancelling need not wait for a whole disk.
inline constexpr std::uint64_t kKernelStepBytes = 1024 * kMiB;

}  // namespace vzv::limits
