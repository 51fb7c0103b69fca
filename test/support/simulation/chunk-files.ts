/** How the simulation's packs and index segments look: JSON, with names that are never used twice (or, on purpose, are). */
import { createHash } from 'node:crypto';
import type { SimDisk } from './directory.js';

export interface SimChunk {
  readonly id: string;
  /** Of a map node: the ids of its children. */
  readonly children: readonly string[] | null;
  /** Its bytes in this pack are damaged. */
  readonly isBad?: boolean;
}

export interface SimPack {
  readonly salt: string;
  readonly chunks: readonly SimChunk[];
  /** Nothing of it can be read, not even its table. */
  readonly isBroken?: boolean;
}

export interface SimSegment {
  readonly salt: string;
  readonly entries: readonly { readonly id: string; readonly pack: string }[];
}

export const CHUNK_BYTES = 100;

export function idOf(value: unknown): string {
  return createHash('sha256').update(JSON.stringify(value)).digest('hex');
}

export function nodeOf(children: readonly string[]): SimChunk {
  return { id: idOf(['node', ...children]), children };
}

export function dataOf(value: number): SimChunk {
  return { id: idOf(['data', value]), children: null };
}

export function packPath(pack: string): string {
  return `packs/${pack.slice(0, 2)}/${pack}`;
}

export function encoded(value: SimPack | SimSegment): { readonly id: string; readonly bytes: Buffer } {
  const bytes = Buffer.from(JSON.stringify(value));
  return { id: createHash('sha256').update(bytes).digest('hex'), bytes };
}

export function decodePack(bytes: Buffer): SimPack {
  return JSON.parse(bytes.toString()) as SimPack;
}

export function decodeSegment(bytes: Buffer): SimSegment {
  return JSON.parse(bytes.toString()) as SimSegment;
}

/** Of a pack's bytes. */
export function soundChunk(bytes: Buffer | null, id: string): SimChunk | null {
  const chunks = bytes === null ? [] : decodePack(bytes).chunks;
  return chunks.find((chunk) => chunk.id === id && chunk.isBad !== true) ?? null;
}

/** As a disk does it: the file has its old name, and other bytes. */
export function damaged(bytes: Buffer, isBad: (chunk: SimChunk) => boolean, isBroken: boolean): Buffer {
  const { salt, chunks } = decodePack(bytes);
  const now = chunks.map((chunk) => (isBroken || isBad(chunk) ? { ...chunk, isBad: true } : chunk));
  return encoded({ salt, chunks: now, ...(isBroken ? { isBroken } : {}) }).bytes;
}

/** The ids of the damaged chunks in a pack. */
export function badChunks(bytes: Buffer | null): string[] {
  const chunks = bytes === null ? [] : decodePack(bytes).chunks;
  return chunks.filter(({ isBad }) => isBad === true).map(({ id }) => id);
}

/** The chunks that can be read now: listed in a segment, in a pack that is there and not among those `without`. */
export function readableChunks(disk: SimDisk, without?: ReadonlySet<string>): ReadonlyMap<string, SimChunk> {
  const packs = new Map(
    disk.paths('packs/').map((path) => [path.split('/').at(-1) ?? '', decodePack(disk.get(path) ?? Buffer.alloc(0))]),
  );
  const readable = new Map<string, SimChunk>();
  for (const path of disk.paths('index/')) {
    for (const { id, pack } of decodeSegment(disk.get(path) ?? Buffer.alloc(0)).entries) {
      if (without?.has(pack) === true) continue;
      const chunk = packs.get(pack)?.chunks.find((candidate) => candidate.id === id && candidate.isBad !== true);
      if (chunk !== undefined) readable.set(id, chunk);
    }
  }
  return readable;
}

/** All chunks below a root, itself included; what is below one that is missing is not known. */
export function chunksBelow(readable: ReadonlyMap<string, SimChunk>, root: string): string[] {
  const chunk = readable.get(root);
  if (chunk === undefined) return [root];
  return [root, ...(chunk.children ?? []).flatMap((child) => chunksBelow(readable, child))];
}
