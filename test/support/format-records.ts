/**
 * The binary records of docs/format.md, read from that page alone: pack, index segment, document, map node. Shares no code with src/ or
 * native/ and must not: it is there to find where they and the page differ. Everything that the page does not allow is a FormatError.
 */
import { createHash } from 'node:crypto';
import { must } from './format-error.js';
import { PLAIN, type Suite } from './format-suite.js';
import { decodeFrame } from './zstd-frame.js';

const MIB = 1024 * 1024;
export const DATA = 1;
export const MAP_NODE = 2;
export const CATALOGUE = 3;
/** Longest plain length by type. */
export const PLAIN_LIMITS: ReadonlyMap<number, number> = new Map([
  [DATA, 4 * MIB],
  [MAP_NODE, 10_256],
  [CATALOGUE, 4 * MIB],
]);
const STORED_LIMIT = 4 * MIB + 64 * 1024;
export const PACK_LIMIT = 256 * MIB;
export const DOCUMENT_LIMIT = 56 + 16 * MIB + 64 * 1024 + 32;
export const ZERO_SENTINEL = '0'.repeat(64);
const TOMBSTONE = 9;
/** Snapshot, notes, log, verify state; the others are read here only as far as it takes to tell them from these. */
export type DocumentKind = 1 | 2 | 3 | 4 | typeof TOMBSTONE;
const HEX_NAME = /^[0-9a-f]{64}$/;

export interface ChunkEntry {
  readonly id: string;
  readonly type: number;
  readonly codec: number;
  readonly storedLength: number;
  readonly plainLength: number;
  readonly offset: number;
}

/** Entries by ordinal. */
export interface Pack {
  readonly bytes: Buffer;
  readonly entries: readonly ChunkEntry[];
}

export interface SegmentEntry extends ChunkEntry {
  readonly packId: string;
  readonly ordinal: number;
}

export interface Segment {
  readonly entries: readonly SegmentEntry[];
  /** What the filter says: false is certain. */
  mayHold(id: string): boolean;
}

export const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');
const hexAt = (bytes: Buffer, at: number): string => bytes.toString('hex', at, at + 32);
export const isZero = (bytes: Buffer): boolean => bytes.every((byte) => byte === 0);

function mustBegin(bytes: Buffer, magic: string, what: string, suite: Suite): void {
  must(bytes.toString('latin1', 0, 8) === `${magic}\n`, `${what} does not begin with its magic`);
  must(bytes.readUInt16LE(8) === 1, `${what} is of an unknown version`);
  const found = bytes.readUInt16LE(10);
  must(found <= 1, `${what} is of an unknown suite`);
  must(found === suite.number, `${what} is of another suite than it has to be`);
}

function mustBeNamed(bytes: Buffer, name: string, what: string): void {
  must(HEX_NAME.test(name), `${what} has a name that is no id`);
  must(sha256(bytes) === name, `${what} has another digest than its name`);
}

function checkChunk(entry: ChunkEntry, { tagBytes }: Suite): ChunkEntry {
  const { id, type, codec, storedLength, plainLength } = entry;
  const plainLimit = PLAIN_LIMITS.get(type);
  must(plainLimit !== undefined, 'a chunk is of an unknown type');
  must(codec === 0 || codec === 1, 'a chunk has an unknown codec');
  must(storedLength >= 1 && storedLength <= STORED_LIMIT, 'a chunk has an impossible stored length');
  must(plainLength >= 1 && plainLength <= plainLimit, 'a chunk has an impossible plain length');
  must(codec === 1 || storedLength === plainLength + tagBytes, 'a chunk that is stored as it is has two lengths');
  must(id !== ZERO_SENTINEL, 'a chunk has the id of the zero sentinel');
  return entry;
}

/** Its header and table, for which the number of the suite is enough. */
export function readPack(bytes: Buffer, name: string, suite: Suite = PLAIN): Pack {
  must(bytes.length <= PACK_LIMIT, 'a pack is longer than its limit');
  must(bytes.length >= 48 + 48, 'a pack is shorter than its header and trailer');
  mustBeNamed(bytes, name, 'a pack');
  mustBegin(bytes, 'VZVPACK', 'a pack', suite);
  must(bytes.readUInt32LE(12) === 0, 'a pack has a reserved field that is not zero');
  const trailer = bytes.subarray(bytes.length - 48);
  must(trailer.toString('latin1', 40) === 'VZVPEND\n', 'a pack does not end with its magic');
  const count = trailer.readUInt32LE(0);
  must(count >= 1 && count <= 1_048_576, 'a pack has an impossible number of entries');
  must(trailer.readUInt32LE(4) === 52 * count, 'a pack has a table of another length than its entries');
  const tableAt = bytes.length - 48 - 52 * count;
  must(tableAt >= 48, 'a pack has a table that is longer than the file');
  const table = bytes.subarray(tableAt, tableAt + 52 * count);
  const digest = sha256(Buffer.concat([bytes.subarray(0, 48), table, trailer.subarray(0, 8)]));
  must(digest === hexAt(trailer, 8), 'a pack has another digest of its table');
  return { bytes, entries: readTable(table, tableAt, suite) };
}

function readTable(table: Buffer, tableAt: number, suite: Suite): ChunkEntry[] {
  const entries: ChunkEntry[] = [];
  let end = 48;
  for (let at = 0; at < table.length; at += 52) {
    must(table.readUInt16LE(at + 34) === 0, 'a pack has a reserved field that is not zero');
    const offset = Number(table.readBigUInt64LE(at + 44));
    must(offset === end, 'a pack has a gap between chunks');
    const [type, codec] = [table.readUInt8(at + 32), table.readUInt8(at + 33)];
    const [storedLength, plainLength] = [table.readUInt32LE(at + 36), table.readUInt32LE(at + 40)];
    entries.push(checkChunk({ id: hexAt(table, at), type, codec, storedLength, plainLength, offset }, suite));
    end += storedLength;
  }
  must(end === tableAt, 'a pack has its table elsewhere than after its chunks');
  return entries;
}

/** The plain bytes of a chunk, which are what its id says. */
export function readChunk({ bytes, entries }: Pack, ordinal: number, suite: Suite = PLAIN): Buffer {
  const entry = entries[ordinal];
  must(entry !== undefined, 'a pack has no such ordinal');
  const stored = bytes.subarray(entry.offset, entry.offset + entry.storedLength);
  const encoded = suite.openChunk(bytes.subarray(0, 48), ordinal, entry, stored);
  const plain = decode(encoded, entry.codec, entry.plainLength);
  must(suite.chunkId(plain) === entry.id, 'a chunk has another digest than its id');
  return plain;
}

function decode(stored: Buffer, codec: number, plainLength: number): Buffer {
  const plain = codec === 0 ? stored : decodeFrame(stored, plainLength);
  must(plain.length === plainLength, 'something decodes to another length than its plain length');
  return plain;
}

export function readSegment(bytes: Buffer, name: string, suite: Suite = PLAIN): Segment {
  must(bytes.length >= 64, 'a segment is shorter than its header');
  mustBeNamed(bytes, name, 'a segment');
  mustBegin(bytes, 'VZVINDX', 'a segment', suite);
  const [packs, entries, blocks] = [bytes.readUInt32LE(12), bytes.readBigUInt64LE(16), bytes.readBigUInt64LE(24)];
  must(packs >= 1 && packs <= 2 ** 26, 'a segment has an impossible number of packs');
  must(entries >= 1n && entries <= 2n ** 32n, 'a segment has an impossible number of entries');
  must(
    blocks === (12n * entries + 511n) / 512n,
    'a segment has another number of filter blocks than its entries ask for',
  );
  const entriesAt = 64 + 32 * packs;
  const filterAt = entriesAt + 56 * Number(entries);
  must(bytes.length === filterAt + 64 * Number(blocks), 'a segment is not as long as its header says');
  const ids = Array.from({ length: packs }, (_, position) => hexAt(bytes, 64 + 32 * position));
  mustAscend(ids, 'the packs of a segment');
  const list = readEntries(bytes.subarray(entriesAt, filterAt), ids, suite);
  const filter = bytes.subarray(filterAt);
  const mayHold = (id: string): boolean => filterHolds(filter, id);
  must(
    list.every(({ id }) => mayHold(id)),
    'the filter of a segment denies one of its chunks',
  );
  return { entries: list, mayHold };
}

function readEntries(bytes: Buffer, packIds: readonly string[], suite: Suite): SegmentEntry[] {
  const entries: SegmentEntry[] = [];
  for (let at = 0; at < bytes.length; at += 56) {
    const u32 = (field: number): number => bytes.readUInt32LE(at + field);
    const packId = packIds[u32(32)];
    must(packId !== undefined, 'an entry of a segment lies in a pack that the segment does not list');
    must(bytes.readUInt16LE(at + 54) === 0, 'a segment has a reserved field that is not zero');
    const [type, codec] = [bytes.readUInt8(at + 52), bytes.readUInt8(at + 53)];
    const place = { packId, ordinal: u32(36), offset: u32(40), storedLength: u32(44), plainLength: u32(48) };
    const entry = { id: hexAt(bytes, at), type, codec, ...place };
    checkChunk(entry, suite);
    entries.push(entry);
  }
  const keys = entries.map(({ id, type }) => id + String(type).padStart(3, '0'));
  mustAscend(keys, 'the entries of a segment');
  return entries;
}

/** Hex digits of one length sort as the bytes do. */
function mustAscend(keys: readonly string[], what: string): void {
  for (const [position, key] of keys.entries()) {
    must(position === 0 || (keys[position - 1] ?? '') < key, `${what} are not in ascending order`);
  }
}

function filterHolds(filter: Buffer, id: string): boolean {
  const bytes = Buffer.from(id, 'hex');
  const [a, b] = [bytes.readBigUInt64LE(0), bytes.readBigUInt64LE(8)];
  const block = Number(a % BigInt(filter.length / 64));
  return [0n, 1n, 2n, 3n, 4n, 5n, 6n].every((round) => {
    const bit = Number((b >> (9n * round)) % 512n);
    return (filter.readUInt8(64 * block + Math.floor(bit / 8)) & (1 << (bit % 8))) !== 0;
  });
}

/** Whether it is a tombstone, which says that there will never be a snapshot here. */
export function isTombstone(bytes: Buffer): boolean {
  return bytes.length > 12 && bytes.readUInt8(12) === TOMBSTONE && readDocument(bytes, TOMBSTONE).length > 0;
}

/** The plain bytes of a document of this kind; `name` is the path of its file in the repository. */
export function readDocument(bytes: Buffer, kind: DocumentKind, name = '', suite: Suite = PLAIN): Buffer {
  must(bytes.length >= 56 + 32 && bytes.length <= DOCUMENT_LIMIT, 'a document has an impossible length');
  mustBegin(bytes, 'VZVSEAL', 'a document', suite);
  must(bytes.readUInt8(12) === kind, 'a document is of another kind');
  const codec = bytes.readUInt8(13);
  must(codec === 0 || codec === 1, 'a document has an unknown codec');
  must(bytes.readUInt16LE(14) === 0, 'a document has a reserved field that is not zero');
  const [plainLength, storedLength] = [bytes.readUInt32LE(16), bytes.readUInt32LE(20)];
  must(plainLength <= 16 * MIB, 'a document has an impossible plain length');
  must(bytes.length === 56 + storedLength + 32, 'a document is not as long as its header says');
  const digestAt = 56 + storedLength;
  must(sha256(bytes.subarray(0, digestAt)) === hexAt(bytes, digestAt), 'a document has another digest than it says');
  return decode(suite.openDocument(bytes.subarray(0, 56), name, bytes.subarray(56, digestAt)), codec, plainLength);
}

/** The ids of the children of a map node, which has to be of that level and have so many. */
export function readMapNode(bytes: Buffer, level: number, children: number): string[] {
  must(bytes.length >= 16 && bytes.toString('latin1', 0, 4) === 'VZMN', 'a map node does not begin with its magic');
  must(bytes.readUInt8(4) === 0, 'a map node is of an unknown kind');
  must(bytes.readUInt8(5) === level, 'a map node is of another level');
  must(bytes.readUInt16LE(6) === children, 'a map node has another number of children than its place asks for');
  must(isZero(bytes.subarray(8, 16)), 'a map node has a reserved field that is not zero');
  must(bytes.length === 16 + 32 * children, 'a map node is not as long as its children');
  must(!isZero(bytes.subarray(16)), 'a map node is stored although all its children are zero');
  return Array.from({ length: children }, (_, position) => hexAt(bytes, 16 + 32 * position));
}
