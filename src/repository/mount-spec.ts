/**
 * What vzvault-fuse is to show: the mount spec (docs/mount.md) made from snapshots. Pure.
 *
 * Each volume becomes a file `NAME.raw`, each archive a file `NAME.tar` and a directory `NAME`, each stored configuration a file of its own
 * name.
 */

import type { StreamMap } from '../engine/types.js';
import type { SnapshotDocument } from './snapshot-document.js';

/** An archive as a mount needs it: its two streams. */
export interface MountArchive {
  readonly data: StreamMap;
  readonly catalogue: StreamMap;
}

/** One of `volume`, `archiveTar`, `archiveTree` and `contentBase64`. */
export interface MountNode {
  /** Relative to the mount, `/`-separated. */
  readonly path: string;
  readonly volume?: {
    readonly sizeBytes: number;
    readonly chunkSizeBytes: number;
    readonly levels: number;
    readonly rootId: string;
  };
  /** The archive as one tar file. */
  readonly archiveTar?: MountArchive;
  /** The archive as a directory. */
  readonly archiveTree?: MountArchive;
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

/** The two faces of an archive below `prefix`: `NAME.tar` and `NAME`. */
export function archiveNodes(
  archive: MountArchive & { readonly name: string },
  modifiedSeconds: number,
  prefix = '',
): MountNode[] {
  const stream = ({ sizeBytes, levels, rootId }: StreamMap): StreamMap => ({ sizeBytes, levels, rootId });
  const streams = { data: stream(archive.data), catalogue: stream(archive.catalogue) };
  return [
    { path: `${prefix}${archive.name}.tar`, archiveTar: streams, modifiedSeconds },
    { path: prefix + archive.name, archiveTree: streams, modifiedSeconds },
  ];
}

/** The files of one snapshot below `prefix` ('' or a path that ends in `/`). */
export function snapshotNodes(document: SnapshotDocument, prefix = ''): MountNode[] {
  const modifiedSeconds = document.id.timeSeconds;
  const volumes = document.volumes.map(({ name, sizeBytes, chunkSizeBytes, levels, rootId }) => ({
    path: prefix + volumeFileName(name),
    volume: { sizeBytes, chunkSizeBytes, levels, rootId },
    modifiedSeconds,
  }));
  const files = document.files.map(({ name, bytes }) => ({
    path: prefix + name,
    contentBase64: bytes.toString('base64'),
    modifiedSeconds,
  }));
  return [...volumes, ...files];
}
