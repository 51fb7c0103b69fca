/**
 * What vzvault-fuse is to show: the mount spec (docs/mount.md) made from snapshots. Pure.
 *
 * Each volume becomes a file `NAME.raw`, each archive a file `NAME.tar` and a directory `NAME`, each stored configuration a file of its own
 * name, the task's log `backup.log`.
 */

import type { StreamMap } from '../engine/types.js';
import { wipe } from './keys/key-material.js';
import type { Repository } from './repository.js';
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
  /** Of an encrypted repository: its secret, and the fingerprint that it must have. */
  readonly key?: { readonly secret: Buffer; readonly fingerprint: string } | undefined;
  readonly nodes: readonly MountNode[];
}

/** What stands in the spec of every mount of a repository; the secret in it is a copy, the caller's to wipe. E_KEY_MISSING, E_KEY_WRONG. */
export function repositorySpec({
  path,
  cacheDirectory,
  config,
  access,
}: Pick<Repository, 'path' | 'cacheDirectory' | 'config' | 'access'>): Pick<
  MountSpec,
  'version' | 'repository' | 'cacheDirectory' | 'key'
> {
  const { secret } = access;
  const { keyFingerprint: fingerprint } = config;
  const key = secret === null || fingerprint === null ? undefined : { secret: Buffer.from(secret), fingerprint };
  return { version: 1, repository: path, cacheDirectory, key };
}

/** The spec as vzvault-fuse reads it; to be wiped once it was sent. The key never becomes a string, which could not be. */
export function encodeMountSpec({ key, ...rest }: MountSpec): Buffer {
  const text = JSON.stringify({ ...rest, keyFingerprint: key?.fingerprint });
  if (key === undefined) return Buffer.from(text, 'utf8');
  const secret = base64Bytes(key.secret);
  const bytes = Buffer.concat([Buffer.from('{"key":"'), secret, Buffer.from('",'), Buffer.from(text.slice(1), 'utf8')]);
  wipe(secret);
  return bytes;
}

const BASE64_DIGITS = Buffer.from('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/', 'ascii');

/** RFC 4648, section 4, as bytes. */
function base64Bytes(bytes: Buffer): Buffer {
  const padding = (3 - (bytes.length % 3)) % 3;
  const padded = Buffer.concat([bytes], bytes.length + padding);
  const text = Buffer.alloc((padded.length / 3) * 4, '=');
  for (let at = 0; at < text.length - padding; at += 1) {
    const group = padded.readUIntBE(Math.floor(at / 4) * 3, 3);
    text[at] = BASE64_DIGITS[(group >> (18 - 6 * (at % 4))) & 63] ?? 0;
  }
  wipe(padded);
  return text;
}

/** The file that shows a volume. */
export function volumeFileName(volume: string): string {
  return `${volume}.raw`;
}

/** The tar file and the directory that show an archive. */
export function archivePaths(archive: string): { readonly tar: string; readonly directory: string } {
  return { tar: `${archive}.tar`, directory: archive };
}

/** The two faces of an archive below `prefix`: `NAME.tar` and `NAME`. */
export function archiveNodes(
  archive: MountArchive & { readonly name: string },
  modifiedSeconds: number,
  prefix = '',
): MountNode[] {
  const stream = ({ sizeBytes, levels, rootId }: StreamMap): StreamMap => ({ sizeBytes, levels, rootId });
  const streams = { data: stream(archive.data), catalogue: stream(archive.catalogue) };
  const { tar, directory } = archivePaths(archive.name);
  return [
    { path: prefix + tar, archiveTar: streams, modifiedSeconds },
    { path: prefix + directory, archiveTree: streams, modifiedSeconds },
  ];
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
  const archives = document.archives.flatMap((archive) => archiveNodes(archive, modifiedSeconds, prefix));
  const isLogShown = log !== null && document.files.every(({ name }) => name !== LOG_FILE_NAME);
  const small = [...document.files, ...(isLogShown ? [{ name: LOG_FILE_NAME, bytes: log }] : [])];
  const files = small.map(({ name, bytes }) => ({
    path: prefix + name,
    contentBase64: bytes.toString('base64'),
    modifiedSeconds,
  }));
  return [...volumes, ...archives, ...files];
}
