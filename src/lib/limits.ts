/**
 * Every bound of the TypeScript side, each with its reason. A number that limits what a peer, a file or a load can make us
 * do stands here and nowhere else.
 */

const KIB = 1024;
const MIB = 1024 * KIB;

/** Bounds of the RPC (docs/protocol.md, "Frame"). Both sides of a connection know these numbers. */
export const rpcLimits = {
  /** The largest message is a guest's log or configuration; a length above it is an attack or a desynchronised peer. */
  frameBytes: 16 * MIB,
  /** Our deepest message has 6 levels. */
  depth: 16,
  /** Of one map or array: a listing of that many backups is answered in pages below it. */
  entries: 65_536,
  /** Of one message in all: 10,000 list entries of 9 fields are 190,000; it bounds what 16 MiB of one-byte values become in memory. */
  values: 1_048_576,
  /** Base64 of the largest file (8 MiB), rounded up. */
  stringBytes: 12 * MIB,
  /** Descriptors with one frame: one for each of `argumentLimits.disks`. Linux allows 253 (SCM_MAX_FD). */
  fds: 64,
  /** Unanswered requests that one peer may have with us. Our own clients have one. */
  unansweredRequests: 256,
} as const;

/** Bounds of the daemon's socket that the protocol does not show. */
export const serverLimits = {
  /** One connection per running PVE call: dozens on a busy node; far below the descriptor limit of 1024. */
  connections: 256,
  /** A peer that connects and says nothing is a scanner or a stopped process. */
  helloMs: 10_000,
  /** While this many bytes wait for a slow peer, nothing more is read from it. */
  sendHighWaterBytes: 4 * MIB,
  /** Reading goes on below this. */
  sendLowWaterBytes: 1 * MIB,
  /** A peer that lets this much pile up (a few of the largest answers) does not read at all: its connection is closed. */
  sendQueueBytes: 64 * MIB,
  /** A cancelled handler has this long to end by itself; then its request is answered without it. */
  cancelGraceMs: 5_000,
  /** How long a stopping server waits for handlers that it cancelled. */
  stopGraceMs: 8_000,
  /** A line of the task log; longer ones are cut. */
  logLineCharacters: 4_096,
} as const;

/** Bounds of values in requests. */
export const argumentLimits = {
  /** PATH_MAX, without its NUL. */
  pathBytes: 4_095,
  /** docs/format.md: notes are a document of at most 16 MiB; this is what a person may write. */
  notesCharacters: 64 * KIB,
  /** A guest's configuration or firewall file, before base64. */
  configBytes: 8 * MIB,
  /** A task log that is kept with its snapshot; the plugin cuts longer ones in the middle. */
  logBytes: 4 * MIB,
  /** Of one answer about dirty regions: some 80 KiB; 16 GiB of disk where every other granule is dirty. */
  dirtyRegions: 4_096,
  /** A VM has at most 4 IDE, 6 SATA, 31 SCSI, 16 VirtIO, an EFI and a TPM disk. */
  disks: 64,
  /** Entries of one storage.list answer. */
  listEntries: 10_000,
  /** The text of an error that ends a backup. */
  errorCharacters: 64 * KIB,
} as const;

/** Bounds of what lies in a repository (docs/format.md) and of how much of it is asked for at once. */
export const repositoryLimits = {
  /** Two lines, of which ours has 300 bytes; room for fields of later versions. */
  configBytes: 64 * KIB,
  /** docs/format.md: 16 MiB + 64 KiB of stored bytes, 56 before and 32 after them. */
  sealedDocumentBytes: 16 * MIB + 64 * KIB + 88,
  /** docs/format.md: what a document holds, opened. */
  documentBytes: 16 * MIB,
  /** A sealed verify state: its message is cut far below. Every listing reads those of all that it lists. */
  sealedVerifyStateBytes: 64 * KIB,
  /** What verification says of a damaged snapshot: the first thing that it found. At most six bytes a character in JSON. */
  verifyMessageCharacters: 4_096,
  /** Chunks that a verify state names as missing, 75 bytes each: below what a verify state may have in all. */
  missingChunks: 128,
  /** Times of checks of the packs below one prefix, 90 bytes each: 2^20 packs in all, 64 TiB, have 4,096 to a prefix. */
  checkTimesBytes: 4 * MIB,
  /** Disks of one snapshot: above `argumentLimits.disks`, since reading is generous. */
  volumes: 256,
  /** A container has one. */
  archives: 16,
  /** docs/format.md: 2^40 pieces, where a node of a stream's map may have no more than 32. */
  streamLevels: 8,
  /** Of the version and of the host name (at most 64 in Linux) that a snapshot was made by. */
  creatorCharacters: 256,
  /** guest.conf and firewall.conf today. */
  files: 64,
  /** Calls of one listing under way at once. The engine runs four per directory and queues few. */
  concurrentCalls: 8,
  /** Parsed documents kept for listings, about 1 KiB each. */
  cachedDocuments: 16_384,
} as const;

/** Bounds of the storage calls: what one mount that hangs may take from the daemon. */
export const storageLimits = {
  /** docs/protocol.md: 2 s. What is left is for the way back. */
  promptMs: 1_800,
  /** docs/protocol.md: 50 s for storage.free and storage.create. */
  patientMs: 48_000,
  /** A call into the mount that takes longer counts as hung: what follows does not queue up behind it. */
  hungAfterMs: 1_000,
  /** A handle older than this is opened anew, so that what is mounted over the path is seen, and an unmount is not kept waiting. */
  handleAgeMs: 1_000,
  /** Handles of one path that may hang before further calls fail at once. Each has up to four threads. */
  hungHandles: 2,
  /** From then on one handle in this time is opened to see whether the storage is back ... */
  probeIntervalMs: 5_000,
  /** ... until so many hang. A mount that came back settles them all; one that was cut off for good (umount -l) never does. */
  hungHandlesInAll: 32,
  /** Storages whose listings are kept in memory. A node has a handful. */
  storages: 64,
  /** Text in one storage.list answer: half of what fits into a frame. */
  listBytes: 8 * MIB,
  /** Reading for one storage.list answer ends about here, well before promptMs; the caller asks for the rest. */
  listMs: 900,
  /** Snapshots read between two looks at the clock: a second's worth of a very slow mount. */
  listBatch: 64,
} as const;

/** Bounds of the daemon's sessions. */
export const sessionLimits = {
  /** docs/protocol.md, "Sessions and owners". */
  sweepIntervalMs: 5_000,
  /** Opening a repository for a job or a restore: longer than a slow server needs, shorter than patience lasts. */
  openMs: 30_000,
  /** No answer of a disk for this long ends its backup. Longer than a failover of most storages takes. */
  stallTimeoutMs: 120_000,
  /** How long an ending session waits for its running backup, and for a repository to close. */
  endMs: 10_000,
  /** Ending a restore answers after this time, also where unmounting hangs. */
  unmountMs: 30_000,
} as const;

/** Bounds of sharing a repository: sessions and the documents of a collection (docs/format.md, "Sharing", "Collection"). */
export const sharingLimits = {
  /** How often a session says that it lives. */
  heartbeatMs: 30_000,
  /** Of one session: a mount of everything refers to all disks of all snapshots; 160 bytes each fit into a document. */
  roots: 65_536,
  /** Packs of one generation: their names in JSON are 6.7 MB of the 16 MiB that a document may have. */
  condemnedPacks: 100_000,
  /** How often an opening writer looks again for a generation that is listed but not there yet ... */
  catchUpMs: 1_000,
  /** ... and for how long: twice what a listing may be old (`collectionLimits.graceMs`). */
  catchUpAttempts: 120,
  /** Names of a machine, a boot or a namespace in a session's owner. */
  ownerCharacters: 256,
} as const;

/** Bounds and habits of the collection. */
export const collectionLimits = {
  /** How old a directory listing of a network file system may be: acdirmax of nfs(5) is 60 s. */
  graceMs: 60_000,
  /** A session that has not counted on for so long is fenced: 240 heartbeats, longer than a server is down for maintenance. */
  fenceAfterMs: 2 * 60 * 60_000,
  /** How often the sessions that a collection waits for are looked at. */
  pollMs: 10_000,
  /** Below this share of live bytes a pack is compacted. */
  compactBelowPercent: 50,
  /** A pack below this is small: a quarter of what a writer aims at (docs/format.md, "Pack"). */
  smallPackBytes: 16 * MIB,
  /** Small packs are compacted where there are more than this: fewer do no harm. */
  smallPacks: 64,
  /** Live bytes that one generation moves at most, so that its end is in sight. */
  compactBytes: 64 * 1024 * MIB,
  /** What is missing is looked for so often, a grace period apart, before a collection gives up. */
  markAttempts: 3,
  /** Ledger entries that stay. */
  ledgerEntries: 64,
  /** Sessions that are read at once. */
  concurrentCalls: 8,
  /** The daemon collects a storage so often ... */
  intervalMs: 24 * 60 * 60_000,
  /** ... looks so often whether one is due ... */
  scheduleMs: 5 * 60_000,
  /** ... and begins up to so much later, so that the nodes of a cluster do not begin at once. */
  delayMs: 60 * 60_000,
} as const;

/** Habits of a verification. */
export const verificationLimits = {
  /** How often the times of checks are written: what an interrupted run may check again. */
  saveMs: 60_000,
} as const;

/** Bounds of the backup of a container. */
export const containerLimits = {
  /** Lines of tar that the task log gets, more than a person reads; further ones are counted. */
  messages: 1_000,
  /** Of a line of tar this much is kept: two of the longest paths, or one with its bytes escaped in part. */
  messageCharacters: 8_192,
  /** A stream that ended early: tar has this long to say why, before the stream's own error is reported. */
  explanationMs: 10_000,
} as const;

/** Bounds of what is kept of a task's log. */
export const taskLogLimits = {
  /** Our lines of one backup: a week of progress at a line per 10 s has 60,000, some 6 MiB. The beginning says how it began ... */
  headBytes: 256 * KIB,
  /** ... and the end what it came to; what lies between is left out first. */
  tailBytes: 768 * KIB,
  /** A line; longer ones are cut, as the server cuts them (`serverLimits.logLineCharacters`). */
  lineCharacters: 4_096,
  /** In all, with Proxmox VE's lines: what a file of a mount can hold (docs/mount.md), half of what a document can. */
  mergedBytes: 8 * MIB,
} as const;

/** Bounds of keys and passphrases (docs/format.md, "Keys"). */
export const keyLimits = {
  /** scrypt's N for new passphrases, with r = 8: 128 MiB and some 0.4 s for each guess; OWASP's least is 2^17 as well. */
  scryptCost: 2 ** 17,
  /** What is accepted of others: below it guessing is cheap ... */
  scryptCostMin: 2 ** 14,
  /** ... and above it (512 MiB) a forged document could take the memory of a node. */
  scryptCostMax: 2 ** 19,
  /** Shorter ones are guessed from a stolen repository, whatever scrypt costs. */
  passphraseMinBytes: 12,
  passphraseMaxBytes: 1_024,
  /** Of whose key it is. */
  labelCharacters: 64,
  /** Keys of one repository: a cluster has 32 nodes; a passphrase is tried on each. */
  documents: 64,
  /** A key document; ours have 500 bytes. */
  documentBytes: 4 * KIB,
  /** A key file; ours have 400 bytes. */
  keyFileBytes: 16 * KIB,
  /** A typed recovery sheet. */
  sheetBytes: 64 * KIB,
} as const;

/** Bounds of the dealings with vzvault-fuse. */
export const mountLimits = {
  /** Logs in one mount of all snapshots, before base64: with it a third of what docs/mount.md gives to a spec. */
  logBytes: 16 * MIB,
  /** docs/mount.md: the content of a small file. */
  fileBytes: 8 * MIB,
  /** Opening the index of a large repository over a slow link, for the first time on this machine. */
  readyMs: 120_000,
  /** Unmounting is quick unless the storage hangs; then it is done by force. */
  stopMs: 5_000,
  /** Of a line without an end, this much is kept. */
  logLineCharacters: 16 * KIB,
  /** Of a restore's mount, every few seconds: some 250 lines. A storage that is gone has a line a chunk, and nobody reads all of them. */
  logReadBytes: 64 * KIB,
  /** A log that was read is emptied above this: it lies in the node's memory. */
  logFileBytes: 1 * MIB,
  /** Errors of one restore in the task log. One damaged piece of a map can be an error of each file, and the first say all that helps. */
  faults: 8,
  /** Of one of them; with its hint still shorter than `serverLimits.logLineCharacters`. */
  faultCharacters: 3_072,
} as const;

/** Bounds of `vzvault doctor`. */
export const doctorLimits = {
  /** A check that takes longer is a finding by itself: storage calls of PVE have 2 s, a first look at a large index takes more. */
  checkMs: 15_000,
  /** Below this share of free space a warning. */
  lowSpacePercent: 5,
} as const;
