/**
 * Codec 1 of docs/format.md without our own zstd: the frame's outline is read here (RFC 8878, 3.1.1), since the page demands
 * things of it that a decoder does not tell, and its contents are decoded by the zstd command.
 */
import { execFileSync } from 'node:child_process';
import { must } from './format-error.js';

const MAGIC = 0xfd2fb528;
const RLE_BLOCK = 1;
const RESERVED_BLOCK = 3;

/** The contents of exactly one frame, which has to declare `plainLength` and to end where `stored` ends. */
export function decodeFrame(stored: Buffer, plainLength: number): Buffer {
  const { headerBytes, contentBytes, checksumBytes } = readFrameHeader(stored);
  must(contentBytes === BigInt(plainLength), 'a frame declares another length than the plain length');
  must(
    endOfBlocks(stored, headerBytes) + checksumBytes === stored.length,
    'a frame does not end with the stored bytes',
  );
  const plain = unpack(stored, plainLength);
  must(plain.length === plainLength, 'a frame holds another length than it declares');
  return plain;
}

function unpack(stored: Buffer, plainLength: number): Buffer {
  try {
    return execFileSync('zstd', ['-d', '-c', '-q'], { input: stored, maxBuffer: plainLength + 1, stdio: 'pipe' });
  } catch (error) {
    must((error as NodeJS.ErrnoException).code !== 'ENOENT', 'the zstd command is not installed');
    must(false, 'a frame cannot be decoded');
  }
}

interface FrameHeader {
  readonly headerBytes: number;
  readonly contentBytes: bigint;
  readonly checksumBytes: number;
}

function readFrameHeader(stored: Buffer): FrameHeader {
  must(stored.length >= 6 && stored.readUInt32LE(0) === MAGIC, 'codec 1 without a zstd frame');
  const descriptor = stored.readUInt8(4);
  const isSingleSegment = (descriptor & 0x20) !== 0;
  const sizeFlag = descriptor >> 6;
  must((descriptor & 0x08) === 0, 'a frame has its reserved bit set');
  must((descriptor & 0x03) === 0, 'a frame needs a dictionary');
  must(sizeFlag > 0 || isSingleSegment, 'a frame does not declare its content size');
  const sizeBytes = [1, 2, 4, 8][sizeFlag] ?? 0;
  const at = 5 + (isSingleSegment ? 0 : 1);
  must(stored.length >= at + sizeBytes, 'a frame is cut short');
  let contentBytes = 0n;
  for (let byte = sizeBytes - 1; byte >= 0; byte -= 1)
    contentBytes = contentBytes * 256n + BigInt(stored[at + byte] ?? 0);
  if (sizeBytes === 2) contentBytes += 256n;
  return { headerBytes: at + sizeBytes, contentBytes, checksumBytes: (descriptor & 0x04) !== 0 ? 4 : 0 };
}

/** Where the last block ends. */
function endOfBlocks(stored: Buffer, begin: number): number {
  let at = begin;
  for (let isLast = false; !isLast;) {
    must(at + 3 <= stored.length, 'a frame is cut short');
    const header = stored.readUIntLE(at, 3);
    const kind = (header >> 1) & 3;
    must(kind !== RESERVED_BLOCK, 'a frame has a block of a reserved kind');
    isLast = (header & 1) === 1;
    at += 3 + (kind === RLE_BLOCK ? 1 : header >> 3);
  }
  return at;
}
