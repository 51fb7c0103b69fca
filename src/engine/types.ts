/**
 * What the native core offers to the rest of vzvault: plain data in, promises out.
 *
 * Rules: every promise rejects with a VzvaultError; nothing here runs on libuv's thread pool; each `RepositoryDirectory` and
 * each long job has threads of its own, so that a hung mount stalls only what touches it. A promise of a call that hangs in
 * the kernel does not settle until the kernel answers: whoever needs an answer in time races it against a deadline
 * (`withDeadline` in src/lib). Handles are closed explicitly; one dropped without close is closed by its finalizer.
 * Byte strings are Buffers, 64-bit sizes are numbers (exact up to 2^53), ids are lower-case hex.
 */

export interface DirectoryEntry {
  readonly name: string;
  readonly kind: 'file' | 'directory' | 'other';
}

export interface FileStatus {
  readonly kind: 'file' | 'directory' | 'other';
  readonly sizeBytes: number;
  readonly modifiedMs: number;
}

export interface Space {
  readonly totalBytes: number;
  /** What an unprivileged writer could still store. */
  readonly availableBytes: number;
  readonly usedBytes: number;
}

/**
 * One directory on a (network) mount. Names are relative, `/`-separated, and refused (E_ARGUMENT_INVALID) where they are
 * absolute or hold `..`. At most four calls run at once, further ones queue up to a bound (then E_STORAGE_TIMEOUT at once).
 */
export interface RepositoryDirectory {
  readonly path: string;
  /** E_STORAGE_IO where it is absent is never used: an absent name is null. Longer than maxBytes: E_ARGUMENT_INVALID. */
  read(name: string, maxBytes: number): Promise<Buffer | null>;
  status(name: string): Promise<FileStatus | null>;
  /** Null where the directory itself is absent. Sorted by name. */
  list(name: string): Promise<DirectoryEntry[] | null>;
  makeDirectories(name: string): Promise<void>;
  /** Durable and atomic; E_NAME_TAKEN where the name exists. Makes missing parent directories. */
  putIfAbsent(name: string, bytes: Buffer): Promise<void>;
  /** Durable and atomic; overwrites. */
  replace(name: string, bytes: Buffer): Promise<void>;
  /** False where it was absent. Works on files and empty directories. */
  remove(name: string): Promise<boolean>;
  space(): Promise<Space>;
  /** True where `path` itself (or the absolute `mountPoint` given) is a mount point, by /proc/self/mountinfo. */
  isMounted(mountPoint?: string): Promise<boolean>;
  close(): void;
}

export type DocumentKind = 'snapshot' | 'notes' | 'log' | 'verify-state';

/** A volume's geometry and the root of its map. `rootId` is 64 zeroes for a volume that is all zero. */
export interface VolumeMap {
  readonly sizeBytes: number;
  readonly chunkSizeBytes: number;
  readonly levels: number;
  readonly rootId: string;
}

export type BackupSource =
  /** NBD export on a Unix socket. `exportName` may be ''. */
  | { readonly kind: 'nbd'; readonly socketPath: string; readonly exportName: string }
  | { readonly kind: 'nbd-uri'; readonly uri: string }
  /** Regular file or block device. Holes are found with SEEK_DATA. */
  | { readonly kind: 'file'; readonly path: string }
  /**
   * An open file of a disk, which is duplicated before backupVolume returns its promise: it may be closed from then on. `name` is
   * what messages call it. Opened with O_DIRECT it is read in aligned pieces.
   */
  | { readonly kind: 'descriptor'; readonly fd: number; readonly name: string };

/** [offset, length] in bytes. */
export type Region = readonly [number, number];

/** Where an incremental backup learns what changed. */
export type DirtyRegions =
  /** The bitmap that the export itself offers (`qemu:dirty-bitmap:NAME`). Only for sources of the kind `nbd`. */
  | { readonly kind: 'bitmap'; readonly bitmapName: string }
  /**
   * Asked for a batch at a time, when the one before was used up; at most 65,536 regions, ascending, not overlapping (they may
   * touch); `done` with the last. A batch may be empty. Not asked again after `done`, nor once the backup ended, which may leave
   * a call unanswered. A rejection ends the backup with it. No answer for `stallTimeoutMs`: E_SOURCE_STALLED.
   */
  | {
      readonly kind: 'batches';
      readonly next: () => Promise<{ readonly regions: readonly Region[]; readonly done: boolean }>;
    };

/** What an incremental backup builds on. */
export interface IncrementalOptions {
  /**
   * Of the same size and chunk size, else E_ARGUMENT_INVALID. What is in no dirty region is as there; the new map is complete by
   * itself. E_CHUNK_MISSING or E_CHUNK_DAMAGED where its nodes on the way to a dirty region cannot be read.
   */
  readonly base: VolumeMap;
  readonly dirty: DirtyRegions;
}

export interface VolumeBackupOptions {
  readonly source: BackupSource;
  /** What was announced; another size of the source is E_SOURCE_SIZE. Undefined: take the source's. */
  readonly expectedSizeBytes?: number;
  readonly chunkSizeBytes: number;
  /** No answer of the source for this long: E_SOURCE_STALLED. */
  readonly stallTimeoutMs: number;
  /**
   * Null: the whole source is read. Else nothing outside the dirty regions is touched. E_SOURCE_BITMAP where the regions cannot
   * be read, are out of order, or do not begin and end where chunks do.
   */
  readonly incremental: IncrementalOptions | null;
  /**
   * Ranges of the source are discarded, in whole 4 MiB granules, once all of their chunks are durable here or zero; those that lie in
   * the writer's last pack are not. Only for a source that exists for this backup. Refused by sources of the kind `file`.
   */
  readonly discard: boolean;
}

/** Monotonic counters of one volume's backup. In the end processed = size = unchanged + zero + reused + new. */
export interface VolumeProgress {
  readonly sizeBytes: number;
  /** Read, passed over as a hole, or unchanged. */
  readonly processedBytes: number;
  /** Outside the dirty regions: neither read nor looked at. */
  readonly unchangedBytes: number;
  readonly readBytes: number;
  /** Zero: read and found zero, or known to be a hole. */
  readonly zeroBytes: number;
  readonly reusedBytes: number;
  readonly newBytes: number;
  /** Of the new: what it takes in packs, compressed. */
  readonly writtenBytes: number;
  /** Of the source, given back to it. */
  readonly discardedBytes: number;
}

export interface VolumeBackupResult {
  readonly map: VolumeMap;
  readonly counters: VolumeProgress;
  /** Why the source refused or did not answer a discard (none was tried after it); null where all went well. Fails nothing. */
  readonly discardRefusal: string | null;
}

/** One stream of an archive: its length, and the tree of its pieces. `rootId` is 64 zeroes for an empty one, which has one level. */
export interface StreamMap {
  readonly sizeBytes: number;
  readonly levels: number;
  readonly rootId: string;
}

/** A container's files: what they hold, one behind the other, and the catalogue that tells which is which. */
export interface ArchiveMap {
  readonly members: number;
  readonly data: StreamMap;
  readonly catalogue: StreamMap;
}

export interface ArchiveBackupOptions {
  /**
   * What a tar stream is read from, to its end: a pipe. It is duplicated; the caller closes its own, at the latest when the
   * job has ended, so that a tar that still writes learns of it.
   */
  readonly fd: number;
}

/** Monotonic counters of one archive's backup. In the end zero + reused + new is the size of its data. */
export interface ArchiveProgress {
  readonly members: number;
  /** Of the tar stream, with headers and padding. */
  readonly readBytes: number;
  readonly zeroBytes: number;
  readonly reusedBytes: number;
  readonly newBytes: number;
}

export interface ArchiveBackupResult {
  readonly archive: ArchiveMap;
  readonly counters: ArchiveProgress;
}

export interface JobControl<Progress> {
  /** Called about every 250 ms, and once at the end. */
  readonly onProgress?: (progress: Progress) => void;
  /** Stops the job: it rejects with E_CANCELLED, soon, or at once where a kernel call hangs. */
  readonly signal?: AbortSignal;
}

export interface WriterOptions {
  readonly zstdLevel: number;
  /** Of what is read for all volumes and archives together; 0: none. */
  readonly bandwidthLimitBytesPerSecond: number;
}

/** Writes the chunks of one snapshot. Several volumes go through it one after the other or at once. */
export interface SnapshotWriter {
  backupVolume(options: VolumeBackupOptions, control?: JobControl<VolumeProgress>): Promise<VolumeBackupResult>;
  /**
   * Reads a tar stream to its end. E_ARCHIVE_INVALID where it is none that can be kept; silence of the stream is no error, `signal`
   * stops the wait.
   */
  backupArchive(options: ArchiveBackupOptions, control?: JobControl<ArchiveProgress>): Promise<ArchiveBackupResult>;
  /** Packs, then index segments, durable. After it, and only after it, a snapshot may refer to what was written. */
  flush(): Promise<{ addedBytes: number }>;
  /** Gives up what is unfinished and removes its temporary files. Harmless after flush. */
  close(): Promise<void>;
}

export interface CopyProgress {
  readonly totalBytes: number;
  readonly processedBytes: number;
  /** Of processed: holes, which are not read from the repository. */
  readonly holeBytes: number;
}

/** One thing that verify found wrong. */
export interface Damage {
  readonly code: string;
  readonly message: string;
}

export interface VerifyResult {
  readonly packs: number;
  readonly packBytes: number;
  readonly chunks: number;
  readonly damages: readonly Damage[];
}

export interface StoreStatistics {
  readonly packs: number;
  readonly packBytes: number;
  readonly segments: number;
  readonly chunks: number;
  /** Sum of the plain lengths of all chunks in the index. */
  readonly plainBytes: number;
}

/** The chunks of one repository, opened: its index is in place and packs can be read and written. */
export interface ChunkStore {
  writer(options: WriterOptions): Promise<SnapshotWriter>;
  /** Writes a volume to a file or block device: sparse where the target allows, never reading a hole. */
  restoreVolume(
    map: VolumeMap,
    target: { readonly path: string; readonly overwrite: boolean },
    control?: JobControl<CopyProgress>,
  ): Promise<CopyProgress>;
  /** Reads every chunk that the map refers to; damages are collected, not thrown. */
  verifyVolume(map: VolumeMap, control?: JobControl<CopyProgress>): Promise<{ chunks: number; damages: Damage[] }>;
  /** The same for both streams of an archive; the catalogue must tell of as many members and bytes as there are. */
  verifyArchive(
    archive: ArchiveMap,
    control?: JobControl<CopyProgress>,
  ): Promise<{ chunks: number; damages: Damage[] }>;
  /** Reads every pack: its name, its table, and with `decode` every chunk in it. */
  verifyPacks(options: { readonly decode: boolean }, control?: JobControl<CopyProgress>): Promise<VerifyResult>;
  statistics(): Promise<StoreStatistics>;
  /** Reads segments that appeared since (other nodes write too). */
  refresh(): Promise<void>;
  close(): Promise<void>;
}

export interface PeerCredentials {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
}

/** One accepted connection. All callbacks come on the main thread, in order; `onClose` is the last, exactly once. */
export interface PeerSocket {
  readonly peer: PeerCredentials;
  /** Sets the handlers and starts reading. `fds` are owned by the receiver. */
  start(handlers: {
    onData: (bytes: Buffer, fds: readonly number[]) => void;
    onClose: (error: string | null) => void;
  }): void;
  /** Queues bytes; resolves when the kernel took them; rejects with E_CONNECTION_LOST. Descriptors are duplicated. */
  send(bytes: Buffer, fds?: readonly number[]): Promise<void>;
  /** Backpressure: stop and go on reading. */
  pause(): void;
  resume(): void;
  close(): void;
}

export interface SocketServer {
  close(): Promise<void>;
}

export interface SparseFiles {
  /** fallocate(FALLOC_FL_PUNCH_HOLE | KEEP_SIZE), or BLKDISCARD on a block device. E_UNSUPPORTED where neither works. */
  deallocate(fd: number, offset: number, length: number): Promise<void>;
  /** fallocate without a mode: reserves space. */
  allocate(fd: number, offset: number, length: number): Promise<void>;
  /** copy_file_range where it works, read and write where it does not. Returns the bytes copied (short at end of file). */
  copyRange(from: number, fromOffset: number, to: number, toOffset: number, length: number): Promise<number>;
  /** FICLONE; false where the file system cannot and the caller should copy. */
  clone(from: number, to: number): Promise<boolean>;
  /** Copies a whole file: clone, else copyRange extent by extent, holes kept. */
  copyFile(
    fromPath: string,
    toPath: string,
  ): Promise<{ method: 'clone' | 'copy-range' | 'read-write'; copiedBytes: number }>;
}

/** Everything the addon does, typed. `src/engine/index.ts` exports the one instance. */
export interface Engine {
  openDirectory(path: string): RepositoryDirectory;
  /** Opens packs and index below the repository's directory. */
  openStore(options: { readonly path: string; readonly cacheDirectory: string }): Promise<ChunkStore>;
  sealDocument(kind: DocumentKind, plain: Buffer): Buffer;
  /** E_SNAPSHOT_DAMAGED with what is wrong. */
  openDocument(kind: DocumentKind, sealed: Buffer): Buffer;
  listen(path: string, onConnection: (socket: PeerSocket) => void): Promise<SocketServer>;
  closeFd(fd: number): void;
  readonly sparse: SparseFiles;
}
