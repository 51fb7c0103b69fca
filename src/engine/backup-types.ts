/** What a disk or a tar stream is read from for a backup, what changed in it, and what the backup came to. Plain data; the rules are those of types.ts. */

import type { ArchiveMap, VolumeMap } from './map-types.js';

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
