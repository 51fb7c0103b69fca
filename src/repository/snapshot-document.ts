/**
 * What a snapshot's document says (docs/format.md, "Document"), and the check of it against where it was found.
 *
 * Pure; sealing and opening is the engine's. A document comes from storage that others write to: every field is checked before
 * anything relies on it. Names of volumes and files become file names of restores and mounts, so they are single, harmless
 * path components.
 */

import { z } from 'zod';
import type { ArchiveMap, StreamMap, VolumeMap } from '../engine/types.js';
import { VzvaultError } from '../lib/errors.js';
import { formatGuest, formatSnapshotId, type SnapshotId } from '../lib/guest.js';
import { repositoryLimits } from '../lib/limits.js';
import { formatIsoTime, parseIsoTime } from '../lib/time.js';
import { FORMAT, isChunkSize } from './config.js';
import { digestSchema, utcTimeSchema } from './schemas.js';

/** One disk. */
export interface SnapshotVolume extends VolumeMap {
  readonly name: string;
}

/** The files of a container. */
export interface SnapshotArchive extends ArchiveMap {
  readonly name: string;
}

/** A configuration that was stored with the snapshot, byte for byte. */
export interface SnapshotFile {
  readonly name: string;
  readonly bytes: Buffer;
}

export interface SnapshotStats {
  /** Outside the dirty regions, taken over from the base unread. */
  readonly unchangedBytes: number;
  /** Read from the source. */
  readonly readBytes: number;
  /** Found or known to be zero. */
  readonly zeroBytes: number;
  /** Found stored already. */
  readonly reusedBytes: number;
  /** Not stored before, plain. */
  readonly newBytes: number;
  /** What the files of the repository grew by. */
  readonly addedBytes: number;
}

export interface SnapshotDocument {
  readonly id: SnapshotId;
  readonly finishedAtSeconds: number;
  readonly createdBy: { readonly version: string; readonly hostname: string };
  readonly volumes: readonly SnapshotVolume[];
  readonly archives: readonly SnapshotArchive[];
  readonly files: readonly SnapshotFile[];
  readonly stats: SnapshotStats;
}

const COMPONENT_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
const EMPTY_ROOT = '0'.repeat(64);

/** Below 2^53, so that no volume has the 2^40 chunks that would be too many: 2^35 of the smallest. */
const bytes = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER);
const creator = z.string().max(repositoryLimits.creatorCharacters);
const name = z.string().regex(COMPONENT_NAME);

const volumeSchema = z
  .object({
    name,
    sizeBytes: bytes,
    chunkSizeBytes: z.number().refine(isChunkSize, 'not a chunk size'),
    levels: z.number().int(),
    root: digestSchema,
  })
  .refine((volume) => volume.levels === mapLevels(volume.sizeBytes, volume.chunkSizeBytes), 'wrong number of levels')
  .refine((volume) => volume.sizeBytes > 0 || volume.root === EMPTY_ROOT, 'empty with a map');

const streamSchema = z
  .object({
    sizeBytes: bytes,
    levels: z.number().int().min(1).max(repositoryLimits.streamLevels),
    root: digestSchema,
  })
  .refine((stream) => (stream.sizeBytes === 0) === (stream.root === EMPTY_ROOT), 'empty with a map, or not without')
  .refine((stream) => stream.sizeBytes > 0 || stream.levels === 1, 'wrong number of levels');

const archiveSchema = z.object({ name, members: bytes, data: streamSchema, catalogue: streamSchema });

const fileSchema = z.object({
  name,
  base64: z.string().refine((text) => Buffer.from(text, 'base64').toString('base64') === text, 'not base64'),
});

const documentSchema = z.object({
  format: z.literal(FORMAT),
  repositoryId: z.string(),
  group: z.string(),
  time: utcTimeSchema,
  finishedAt: utcTimeSchema,
  createdBy: z.object({ version: creator, hostname: creator }),
  volumes: z.array(volumeSchema).max(repositoryLimits.volumes).refine(haveUniqueNames, 'two volumes of one name'),
  // Absent where there are none.
  archives: z
    .array(archiveSchema)
    .max(repositoryLimits.archives)
    .refine(haveUniqueNames, 'two archives of one name')
    .default([]),
  files: z.array(fileSchema).max(repositoryLimits.files).refine(haveUniqueNames, 'two files of one name'),
  stats: z.object({
    // Absent where nothing could be left unread.
    unchangedBytes: bytes.default(0),
    readBytes: bytes,
    zeroBytes: bytes,
    reusedBytes: bytes,
    newBytes: bytes,
    addedBytes: bytes,
  }),
});

/** Whether a volume or file may bear this name: letters, digits, `.`, `_`, `-`, at most 64, the first a letter or digit. */
export function isComponentName(text: string): boolean {
  return COMPONENT_NAME.test(text);
}

/** The least L >= 1 with 256^L >= number of chunks (docs/format.md, "Map"). */
export function mapLevels(sizeBytes: number, chunkSizeBytes: number): number {
  const chunks = Math.ceil(sizeBytes / chunkSizeBytes);
  let levels = 1;
  while (256 ** levels < chunks) levels += 1;
  return levels;
}

export function encodeSnapshotDocument(document: SnapshotDocument, repositoryId: string): Buffer {
  const json = JSON.stringify({
    format: FORMAT,
    repositoryId,
    group: formatGuest(document.id),
    time: formatIsoTime(document.id.timeSeconds),
    finishedAt: formatIsoTime(document.finishedAtSeconds),
    createdBy: document.createdBy,
    volumes: document.volumes.map((volume) => ({
      name: volume.name,
      sizeBytes: volume.sizeBytes,
      chunkSizeBytes: volume.chunkSizeBytes,
      levels: volume.levels,
      root: volume.rootId,
    })),
    ...(document.archives.length > 0 && { archives: document.archives.map(encodeArchive) }),
    files: document.files.map((file) => ({ name: file.name, base64: file.bytes.toString('base64') })),
    stats: document.stats,
  });
  const plain = Buffer.from(json, 'utf8');
  if (plain.length > repositoryLimits.documentBytes) {
    throw new VzvaultError(
      'E_ARGUMENT_INVALID',
      `the configurations of ${formatSnapshotId(document.id)} are too large to be stored`,
    );
  }
  return plain;
}

/** Reads the opened document that lies where `id` says; E_SNAPSHOT_DAMAGED where it is not that snapshot's. */
export function decodeSnapshotDocument(plain: Buffer, id: SnapshotId, repositoryId: string): SnapshotDocument {
  const parsed = documentSchema.safeParse(parseJson(plain, id));
  if (!parsed.success) throw damaged(id, z.prettifyError(parsed.error));
  const data = parsed.data;
  if (data.repositoryId !== repositoryId) throw damaged(id, `it belongs to the repository ${data.repositoryId}`);
  if (data.group !== formatGuest(id) || parseIsoTime(data.time) !== id.timeSeconds) {
    throw damaged(id, `it is the document of ${data.group}@${data.time}`);
  }
  return {
    id,
    finishedAtSeconds: parseIsoTime(data.finishedAt) ?? 0,
    createdBy: data.createdBy,
    volumes: data.volumes.map(({ root, ...volume }) => ({ ...volume, rootId: root })),
    archives: data.archives.map(decodeArchive),
    files: data.files.map((file) => ({ name: file.name, bytes: Buffer.from(file.base64, 'base64') })),
    stats: data.stats,
  };
}

interface EncodedStream {
  readonly sizeBytes: number;
  readonly levels: number;
  readonly root: string;
}

function encodeArchive({ name: archive, members, data, catalogue }: SnapshotArchive): object {
  const stream = ({ sizeBytes, levels, rootId }: StreamMap): EncodedStream => ({ sizeBytes, levels, root: rootId });
  return { name: archive, members, data: stream(data), catalogue: stream(catalogue) };
}

function decodeArchive(archive: z.infer<typeof archiveSchema>): SnapshotArchive {
  const stream = ({ sizeBytes, levels, root }: EncodedStream): StreamMap => ({ sizeBytes, levels, rootId: root });
  return { ...archive, data: stream(archive.data), catalogue: stream(archive.catalogue) };
}

/** What a guest has: the size of its disks, and of a container's files the data that is stored of them. */
export function logicalBytes({ volumes, archives }: Pick<SnapshotDocument, 'volumes' | 'archives'>): number {
  const sizes = [...volumes, ...archives.map(({ data }) => data)].map(({ sizeBytes }) => sizeBytes);
  return sizes.reduce((sum, sizeBytes) => sum + sizeBytes, 0);
}

function parseJson(plain: Buffer, id: SnapshotId): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(plain));
  } catch {
    throw damaged(id, 'it is not JSON');
  }
}

function haveUniqueNames(things: readonly { name: string }[]): boolean {
  return new Set(things.map((thing) => thing.name)).size === things.length;
}

function damaged(id: SnapshotId, why: string): VzvaultError {
  return new VzvaultError('E_SNAPSHOT_DAMAGED', `reading the snapshot ${formatSnapshotId(id)}: ${why}`);
}
