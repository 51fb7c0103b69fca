/**
 * Where a writer should end pieces and nodes (docs/format.md, "How data is cut", "Map of a stream", "Catalogue"), computed from that page
 * alone: how long each of them is. Any cut can be read, but only writers that cut alike share chunks.
 */
import type { RecordPlace } from './format-catalogue.js';
import { PLAIN, type Suite } from './format-suite.js';

const KIB = 1024;
export const LARGE_FILE_BYTES = 256 * KIB;
const WARM_UP_BYTES = 64;
const U64 = (1n << 64n) - 1n;

interface Sizes {
  readonly least: number;
  /** The average is 2^k. */
  readonly k: bigint;
  readonly most: number;
}
const IN_LARGE_FILE: Sizes = { least: 128 * KIB, k: 19n, most: 2048 * KIB };
const BETWEEN: Sizes = { least: 16 * KIB, k: 16n, most: 256 * KIB };

/** Lengths of the pieces of a data stream, in which files store so many bytes one after the other. */
export function dataCuts(data: Buffer, storedBytes: readonly number[], { gear }: Suite = PLAIN): number[] {
  const cuts: number[] = [];
  let begin = 0;
  let end = 0;
  const cutTo = (stop: number, sizes: Sizes): void => {
    while (begin < stop) {
      const length = pieceLength(data.subarray(begin, stop), sizes, gear);
      cuts.push(length);
      begin += length;
    }
  };
  for (const bytes of storedBytes) {
    if (bytes >= LARGE_FILE_BYTES) {
      cutTo(end, BETWEEN);
      cutTo(end + bytes, IN_LARGE_FILE);
    }
    end += bytes;
  }
  cutTo(end, BETWEEN);
  return cuts;
}

function pieceLength(bytes: Buffer, { least, k, most }: Sizes, gear: Suite['gear']): number {
  let hash = 0n;
  for (let n = least - WARM_UP_BYTES + 1; n <= Math.min(bytes.length, most); n += 1) {
    hash = (2n * hash + (gear[bytes[n - 1] ?? 0] ?? 0n)) & U64;
    const bits = n <= 2 ** Number(k) ? k + 2n : k - 2n;
    if (n >= least && hash < 1n << (64n - bits)) return n;
  }
  return Math.min(bytes.length, most);
}

/** Lengths of the pieces of a catalogue. */
export function catalogueCuts(records: readonly RecordPlace[], suite: Suite = PLAIN): number[] {
  const cuts: number[] = [];
  let length = 0;
  for (const { path, lengthBytes } of records) {
    length += lengthBytes;
    const isMarked = suite.pathDigest(Buffer.from(path, 'latin1'))[0] === 0;
    if (length < 256 * KIB && !(length >= 16 * KIB && isMarked)) continue;
    cuts.push(length);
    length = 0;
  }
  return length > 0 ? [...cuts, length] : cuts;
}

/** How many of these children, in order, each node of a level has. */
export function nodeCuts(ids: readonly string[]): number[] {
  const cuts: number[] = [];
  let count = 0;
  for (const id of ids) {
    count += 1;
    if (count < 256 && !(count >= 32 && (parseInt(id.slice(0, 2), 16) & 0x7f) === 0)) continue;
    cuts.push(count);
    count = 0;
  }
  return count > 0 ? [...cuts, count] : cuts;
}
