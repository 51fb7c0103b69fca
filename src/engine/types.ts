/**
 * What the native core offers to the rest of vzvault: plain data in, promises out.
 *
 * Rules: every promise rejects with a VzvaultError; nothing here runs on libuv's thread pool; each `RepositoryDirectory` and
 * each long job has threads of its own, so that a hung mount stalls only what touches it. A promise of a call that hangs in
 * the kernel does not settle until the kernel answers: whoever needs an answer in time races it against a deadline
 * (`withDeadline` in src/lib). Handles are closed explicitly; one dropped without close is closed by its finalizer.
 * Byte strings are Buffers, 64-bit sizes are numbers (exact up to 2^53), ids are lower-case hex.
 */

import type {
  ArchiveBackupOptions,
  ArchiveBackupResult,
  ArchiveProgress,
  VolumeBackupOptions,
  VolumeBackupResult,
  VolumeProgress,
} from './backup-types.js';
import type { Collection, CollectionOptions } from './collection-types.js';
import type { RepositoryDirectory } from './directory-types.js';
import type { CopyProgress, JobControl } from './job-types.js';
import type { ArchiveMap, VolumeMap } from './map-types.js';
import type { PeerSocket, SocketServer } from './socket-types.js';

export type * from './backup-types.js';
export type { Collection, CollectionOptions, MarkCounters, PackUse } from './collection-types.js';
export type { DirectoryEntry, FileStatus, Space, RepositoryDirectory, NoReplace } from './directory-types.js';
export type { CopyProgress, JobControl } from './job-types.js';
export type { ArchiveMap, MapRoot, StreamMap, VolumeMap } from './map-types.js';
export type { PeerCredentials, PeerSocket, SocketServer } from './socket-types.js';

export type DocumentKind =
  | 'snapshot'
  | 'notes'
  | 'log'
  | 'verify-state'
  | 'session'
  | 'condemned'
  | 'claim'
  | 'verdict'
  | 'tombstone'
  | 'collected';

export interface WriterOptions {
  readonly zstdLevel: number;
  /** Of what is read for all volumes and archives together; 0: none. */
  readonly bandwidthLimitBytesPerSecond: number;
  /** 32 hex digits: its unfinished files are `tmp/<sessionId>-…`. */
  readonly sessionId: string;
  /** Packs whose chunks count as not stored, as after `exclude`. */
  readonly excludedPacks: readonly string[];
}

/** Writes the chunks of one snapshot. Several volumes go through it one after the other or at once. */
export interface SnapshotWriter {
  backupVolume(options: VolumeBackupOptions, control?: JobControl<VolumeProgress>): Promise<VolumeBackupResult>;
  /**
   * Reads a tar stream to its end. E_ARCHIVE_INVALID where it is none that can be kept; silence of the stream is no error, `signal`
   * stops the wait.
   */
  backupArchive(options: ArchiveBackupOptions, control?: JobControl<ArchiveProgress>): Promise<ArchiveBackupResult>;
  /**
   * From now on the chunks in these packs count as not stored: no later lookup refers to them. Answers which of the packs this writer has
   * referred to or written before, atomically: a lookup is either excluded or in the answer. Reading a base is not affected. Names of
   * packs that are not there are fine, and so are those that were given before.
   */
  exclude(packs: readonly string[]): Promise<{ keeps: string[] }>;
  /**
   * Stores anew what can still be read of these packs, which are excluded from then on. Durable after flush. E_KEY_MISSING where they are
   * encrypted and there is no key; E_INTERNAL where this writer has used one of them.
   */
  salvage(packs: readonly string[], control?: JobControl<CopyProgress>): Promise<Salvage>;
  /** Packs, then index segments, durable. After it, and only after it, a snapshot may refer to what was written. */
  flush(): Promise<{ addedBytes: number }>;
  /** Gives up what is unfinished and removes its temporary files. Harmless after flush. */
  close(): Promise<void>;
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

/** What the verification of one disk or archive came to. */
export interface MapVerification {
  readonly chunks: number;
  readonly damages: Damage[];
  /**
   * The chunks that could not be read, such as `data:<64 hex digits>` (also `map-node` and `catalogue`); null where there are too many to name.
   * What lies below a map node that cannot be read is not known.
   */
  readonly unreadable: string[] | null;
}

/** What became of the chunks of damaged packs. */
export interface Salvage {
  /** Decoded and checked, in the pack or in another that has them; stored anew unless a pack that is not excluded has them. */
  readonly chunks: number;
  /** Not readable any more. */
  readonly lost: number;
}

/** An index that was made anew. */
export interface IndexRebuild {
  readonly packs: number;
  readonly chunks: number;
  /** The new segments. */
  readonly added: string[];
  /** Those which are not needed any more: nothing is lost with them. Others in `index/` stay needed. */
  readonly replaced: string[];
  /** Packs whose tables cannot be read. */
  readonly damages: Damage[];
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
  verifyVolume(map: VolumeMap, control?: JobControl<CopyProgress>): Promise<MapVerification>;
  /** The same for both streams of an archive; the catalogue must tell of as many members and bytes as there are. */
  verifyArchive(archive: ArchiveMap, control?: JobControl<CopyProgress>): Promise<MapVerification>;
  /** Reads packs, all of them or those that are named: their names, their tables, and with `decode` every chunk. Then the index, unless told not to. */
  verifyPacks(
    options: { readonly decode: boolean; readonly packs?: readonly string[]; readonly segments?: boolean },
    control?: JobControl<CopyProgress>,
  ): Promise<VerifyResult>;
  /** Which of these chunks, named as in `MapVerification`, cannot be read now. */
  unreadableChunks(chunks: readonly string[], control?: JobControl<CopyProgress>): Promise<string[]>;
  /**
   * Lists all packs in new segments, from their own tables; needs no key. The caller takes the replaced ones away. Its progress counts packs in place
   * of bytes.
   */
  rebuildIndex(
    options: { readonly sessionId: string; readonly isEncrypted: boolean },
    control?: JobControl<CopyProgress>,
  ): Promise<IndexRebuild>;
  /** Begins a garbage collection. */
  collection(options: CollectionOptions): Promise<Collection>;
  statistics(): Promise<StoreStatistics>;
  /** Reads segments that appeared since (other nodes write too), and forgets segments and packs that are gone. */
  refresh(): Promise<void>;
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

/**
 * The key of one encrypted repository, loaded. Opaque: only `loadKey` makes one. The fingerprint (32 hex digits) is what the repository's config
 * names, and gives nothing away: another one there is E_KEY_WRONG, which the caller finds out before it opens anything.
 */
export interface RepositoryKey {
  readonly fingerprint: string;
}

/** How a part of a snapshot is sealed in an encrypted repository: bound to its file's name there, such as `snapshots/qemu/100/…/notes`. */
export interface DocumentEncryption {
  readonly key: RepositoryKey;
  readonly name: string;
}

/** Everything the addon does, typed. `src/engine/index.ts` exports the one instance. */
export interface Engine {
  openDirectory(path: string): RepositoryDirectory;
  /** The caller overwrites `secret` (32 bytes, else E_ARGUMENT_INVALID) afterwards. */
  loadKey(secret: Buffer): RepositoryKey;
  /**
   * Opens packs and index below the repository's directory. Without a key an encrypted repository can be counted, merged and verified by the
   * names of its packs; what needs one is E_KEY_MISSING then.
   */
  openStore(options: {
    readonly path: string;
    readonly cacheDirectory: string;
    readonly key?: RepositoryKey | null;
  }): Promise<ChunkStore>;
  /** Documents that writers and collectors of a shared repository leave each other are never encrypted, whatever is given. */
  sealDocument(kind: DocumentKind, plain: Buffer, encryption?: DocumentEncryption | null): Buffer;
  /**
   * E_SNAPSHOT_DAMAGED with what is wrong, also where it was sealed under another name or with another key; E_KEY_MISSING where it is encrypted and
   * there is no key, E_SUITE_MISMATCH where it is not and there is one.
   */
  openDocument(kind: DocumentKind, sealed: Buffer, encryption?: DocumentEncryption | null): Buffer;
  listen(path: string, onConnection: (socket: PeerSocket) => void): Promise<SocketServer>;
  closeFd(fd: number): void;
  readonly sparse: SparseFiles;
}
