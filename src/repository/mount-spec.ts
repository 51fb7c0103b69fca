/**
 * What vzvault-fuse is to show: the mount spec (docs/mount.md) made from snapshots. Pure.
 *
 * Each volume becomes a file `NAME.raw`, each stored configuration a file of its own name, the task's log `backup.log`.
 */

import type { SnapshotDocument } from './snapshot-document.js';

export interface MountNode {
  /** Relative to the mount, `/`-separated. */
  readonly path: string;
  readonly volume?: {
    readonly sizeBytes: number;
    readonly chunkSizeBytes: number;
    readonly levels: number;
    readonly rootId: string;
  };
  readonly contentBase64?: string;
  readonly modifiedSeconds: number;
}

export interface MountSpec {
  readonly version: 1;
  /** The repository's own directory, absolute. */
  readonly repository: string;
  readonly cacheDirectory: string;
  /** Bound of the memory for decoded chunks. */
  readonly cacheBytes?: number;
  /** Whether other users than the one who mounts may look in. */
  readonly allowOther: boolean;
  readonly nodes: readonly MountNode[];
}

/** The file that shows a volume. */
export function volumeFileName(volume: string): string {
  return `${volume}.raw`;
}

const LOG_FILE_NAME = 'backup.log';

/** The files of one snapshot below `prefix` ('' or a path that ends in `/`). `log` may be null: there is none, or it is not to be shown. */
export function snapshotNodes(document: SnapshotDocument, prefix = '', log: Buffer | null = null): MountNode[] {
  const modifiedSeconds = document.id.timeSeconds;
  const volumes = document.volumes.map(({ name, sizeBytes, chunkSizeBytes, levels, rootId }) => ({
    path: prefix + volumeFileName(name),
    volume: { sizeBytes, chunkSizeBytes, levels, rootId },
    modifiedSeconds,
  }));
  const isLogShown = log !== null && document.files.every(({ name }) => name !== LOG_FILE_NAME);
  const small = [...document.files, ...(isLogShown ? [{ name: LOG_FILE_NAME, bytes: log }] : [])];
  const files = small.map(({ name, bytes }) => ({
    path: prefix + name,
    contentBase64: bytes.toString('base64'),
    modifiedSeconds,
  }));
  return [...volumes, ...files];
}
