/**
 * Loads the native addon, the only place that does, and types what it exports. Beside the compiled JavaScript in build/js lies
 * build/native/vzvault.node; it is found relative to this file. Loaded at the first use, so that modules which only need types do not need it.
 *
 * Everything that crosses the border is plain data; native objects are opaque handles. What rejects or throws there is an Error
 * with a `code` of the table, translated here.
 */
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { isErrorCode, toVzvaultError, VzvaultError } from '../lib/errors.js';
import type {
  ArchiveBackupResult,
  ArchiveMap,
  ArchiveProgress,
  BackupSource,
  CopyProgress,
  DirectoryEntry,
  FileStatus,
  IndexRebuild,
  MapRoot,
  MapVerification,
  MarkCounters,
  NoReplace,
  PackUse,
  PeerCredentials,
  Salvage,
  Space,
  SparseFiles,
  StoreStatistics,
  VerifyResult,
  VolumeBackupResult,
  VolumeProgress,
} from './types.js';

declare const handleKind: unique symbol;
/** A native object; the name keeps the kinds apart at compile time, the addon does at run time. */
export interface Handle<Kind extends string> {
  readonly [handleKind]: Kind;
}
export type DirectoryHandle = Handle<'directory'>;
export type KeyHandle = Handle<'key'>;
export type StoreHandle = Handle<'store'>;
export type WriterHandle = Handle<'writer'>;
export type CollectionHandle = Handle<'collection'>;
export type JobHandle = Handle<'job'>;
export type ServerHandle = Handle<'server'>;
export type ConnectionHandle = Handle<'connection'>;

/** A volume map, and the rest of a job's arguments, with all defaults filled in. */
export interface NativeVolumeMap {
  readonly sizeBytes: number;
  readonly chunkSizeBytes: number;
  readonly rootId: string;
}

export interface NativeBackupOptions {
  readonly source: BackupSource;
  /** -1: not announced. */
  readonly expectedSizeBytes: number;
  readonly chunkSizeBytes: number;
  readonly stallTimeoutMs: number;
  /** A `bitmapName` of null: the regions come through jobOfferRegions. */
  readonly incremental: { readonly base: NativeVolumeMap; readonly bitmapName: string | null } | null;
  readonly discard: boolean;
}

/** The exports of native/addon. */
export interface NativeAddon {
  directoryOpen(path: string): DirectoryHandle;
  directoryRead(directory: DirectoryHandle, name: string, maxBytes: number): Promise<Buffer | null>;
  directoryStatus(directory: DirectoryHandle, name: string): Promise<FileStatus | null>;
  directoryList(directory: DirectoryHandle, name: string): Promise<DirectoryEntry[] | null>;
  directoryMakeDirectories(directory: DirectoryHandle, name: string): Promise<void>;
  directoryPutIfAbsent(directory: DirectoryHandle, name: string, bytes: Buffer): Promise<void>;
  directoryReplace(directory: DirectoryHandle, name: string, bytes: Buffer): Promise<void>;
  directoryRemove(directory: DirectoryHandle, name: string): Promise<boolean>;
  directoryMove(directory: DirectoryHandle, from: string, to: string): Promise<boolean>;
  directorySpace(directory: DirectoryHandle): Promise<Space>;
  directoryIsMounted(directory: DirectoryHandle, mountPoint: string): Promise<boolean>;
  directoryNoReplace(directory: DirectoryHandle): Promise<NoReplace>;
  directoryClose(directory: DirectoryHandle): void;

  keyLoad(secret: Buffer): KeyHandle;
  keyFingerprint(key: KeyHandle): string;
  sealDocument(kind: number, name: string, plain: Buffer, key: KeyHandle | null): Buffer;
  openDocument(kind: number, name: string, sealed: Buffer, key: KeyHandle | null): Buffer;

  /** A job's progress and its stop button: one for each of the calls below that take it. */
  jobCreate(): JobHandle;
  jobCancel(job: JobHandle): void;
  jobBackupProgress(job: JobHandle): VolumeProgress;
  jobCopyProgress(job: JobHandle): CopyProgress;
  jobArchiveProgress(job: JobHandle): ArchiveProgress;
  /** True when the backup wants a batch, false when it will want none any more. Asked again after each batch. */
  jobRegionsWanted(job: JobHandle): Promise<boolean>;
  /** The batch that was wanted, in pairs of offset and length. */
  jobOfferRegions(job: JobHandle, regions: Float64Array, done: boolean): void;

  storeOpen(path: string, cacheDirectory: string, key: KeyHandle | null): Promise<StoreHandle>;
  storeWriter(
    store: StoreHandle,
    zstdLevel: number,
    bandwidthLimitBytesPerSecond: number,
    sessionId: string,
    excludedPacks: readonly string[],
  ): Promise<WriterHandle>;
  storeStatistics(store: StoreHandle): Promise<StoreStatistics>;
  storeRefresh(store: StoreHandle): Promise<void>;
  storeClose(store: StoreHandle): Promise<void>;
  /** The packs that it keeps. */
  writerExclude(writer: WriterHandle, packs: readonly string[]): Promise<string[]>;
  writerFlush(writer: WriterHandle): Promise<{ addedBytes: number }>;
  writerClose(writer: WriterHandle): Promise<void>;

  writerBackupVolume(writer: WriterHandle, job: JobHandle, options: NativeBackupOptions): Promise<VolumeBackupResult>;
  writerBackupArchive(writer: WriterHandle, job: JobHandle, fd: number): Promise<ArchiveBackupResult>;
  storeVerifyArchive(store: StoreHandle, job: JobHandle, archive: ArchiveMap): Promise<MapVerification>;
  storeRestoreVolume(
    store: StoreHandle,
    job: JobHandle,
    map: NativeVolumeMap,
    path: string,
    overwrite: boolean,
  ): Promise<CopyProgress>;
  storeVerifyVolume(store: StoreHandle, job: JobHandle, map: NativeVolumeMap): Promise<MapVerification>;
  /** `packs` null: all of them. */
  storeVerifyPacks(
    store: StoreHandle,
    job: JobHandle,
    decode: boolean,
    packs: readonly string[] | null,
    segments: boolean,
  ): Promise<VerifyResult>;
  storeUnreadableChunks(store: StoreHandle, job: JobHandle, chunks: readonly string[]): Promise<string[]>;
  storeRebuildIndex(store: StoreHandle, job: JobHandle, sessionId: string, isEncrypted: boolean): Promise<IndexRebuild>;
  writerSalvage(writer: WriterHandle, job: JobHandle, packs: readonly string[]): Promise<Salvage>;

  storeCollection(
    store: StoreHandle,
    sessionId: string,
    bandwidthLimitBytesPerSecond: number,
    zstdLevel: number,
  ): Promise<CollectionHandle>;
  collectionMarkProgress(collection: CollectionHandle): MarkCounters;
  /** Of a compaction or a merge. */
  collectionMoveProgress(collection: CollectionHandle): CopyProgress;
  collectionMark(collection: CollectionHandle, job: JobHandle, roots: readonly MapRoot[]): Promise<MarkCounters>;
  collectionPacks(collection: CollectionHandle, job: JobHandle): Promise<PackUse[]>;
  collectionCompact(
    collection: CollectionHandle,
    job: JobHandle,
    packs: readonly string[],
  ): Promise<{ packs: string[]; addedBytes: number }>;
  collectionStillNeeded(collection: CollectionHandle, job: JobHandle, packs: readonly string[]): Promise<string[]>;
  collectionMergeSegments(
    collection: CollectionHandle,
    job: JobHandle,
    goingPacks: readonly string[],
  ): Promise<{ replaced: string[]; added: string[] }>;
  collectionClose(collection: CollectionHandle): Promise<void>;

  socketListen(
    path: string,
    onConnection: (connection: ConnectionHandle, peer: PeerCredentials) => void,
  ): Promise<ServerHandle>;
  socketServerClose(server: ServerHandle): Promise<void>;
  socketStart(
    connection: ConnectionHandle,
    onData: (bytes: Buffer, fds: number[]) => void,
    onClose: (error: string | null) => void,
  ): void;
  socketSend(connection: ConnectionHandle, bytes: Buffer, fds: readonly number[]): Promise<void>;
  socketSetPaused(connection: ConnectionHandle, isPaused: boolean): void;
  socketClose(connection: ConnectionHandle): void;

  closeFd(fd: number): void;
  sparseDeallocate: SparseFiles['deallocate'];
  sparseAllocate: SparseFiles['allocate'];
  sparseCopyRange: SparseFiles['copyRange'];
  sparseClone: SparseFiles['clone'];
  sparseCopyFile: SparseFiles['copyFile'];
}

let loaded: NativeAddon | undefined;

/** The addon. Throws E_INTERNAL where it is not built, or built for another machine. */
export function addon(): NativeAddon {
  if (loaded) return loaded;
  const file = fileURLToPath(new URL('../../../native/vzvault.node', import.meta.url));
  try {
    loaded = createRequire(import.meta.url)(file) as NativeAddon;
    return loaded;
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new VzvaultError('E_INTERNAL', `loading the native addon ${file} failed: ${why}`, { cause: error });
  }
}

/** What the addon threw, as an error of ours. */
function translate(thrown: unknown): VzvaultError {
  if (thrown instanceof Error && 'code' in thrown && typeof thrown.code === 'string' && isErrorCode(thrown.code)) {
    return new VzvaultError(thrown.code, thrown.message);
  }
  return toVzvaultError(thrown);
}

/** Runs a call of the addon that answers at once. */
export function callNative<T>(call: (native: NativeAddon) => T): T {
  try {
    return call(addon());
  } catch (error) {
    throw translate(error);
  }
}

/** Runs a call of the addon that answers later. */
export async function awaitNative<T>(call: (native: NativeAddon) => Promise<T>): Promise<T> {
  try {
    return await call(addon());
  } catch (error) {
    throw translate(error);
  }
}
