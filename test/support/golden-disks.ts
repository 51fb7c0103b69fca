/**
 * The disks of the golden repositories in test/fixtures: zero but for extents, whose bytes follow one of two rules that take three
 * lines in any language (told in words in the fixture's README). The rules must never change: the fixtures hold what they made.
 */
import { createHash } from 'node:crypto';
import type { GoldenArchive } from './golden-archives.js';

/** `text` compresses well, `noise` not at all. */
export type Rule = 'text' | 'noise';

export interface Extent {
  readonly offset: number;
  readonly lengthBytes: number;
  readonly rule: Rule;
  readonly label: string;
}

/** What expected.json says of a disk. */
export interface GoldenDisk {
  readonly name: string;
  readonly sizeBytes: number;
  readonly levels: number;
  readonly sha256: string;
  readonly extents: readonly Extent[];
  /** Where the chunks begin that are not all zero. */
  readonly dataChunkOffsets: readonly number[];
}

export interface GoldenSnapshot {
  readonly group: string;
  readonly time: string;
  readonly protected: boolean;
  readonly notes: string | null;
  readonly log: string | null;
  /** Text by name. */
  readonly files: Readonly<Record<string, string>>;
  readonly disks: readonly GoldenDisk[];
  /** Of a container. */
  readonly archive?: GoldenArchive;
}

/** All that opens an encrypted repository. */
export interface GoldenEncryption {
  /** Hex digits. */
  readonly secret: string;
  /** That of `node.key`, in hex digits. */
  readonly key: string;
  readonly passphrase: string;
}

/** expected.json. */
export interface GoldenRepository {
  readonly format: number;
  readonly chunkSizeBytes: number;
  readonly encryption?: GoldenEncryption;
  readonly snapshots: readonly GoldenSnapshot[];
}

const BLOCK_BYTES = 32;

/** The bytes of a whole disk. */
export function diskBytes(sizeBytes: number, extents: readonly Extent[]): Buffer {
  const disk = Buffer.alloc(sizeBytes);
  for (const { offset, lengthBytes, rule, label } of extents) ruleBytes(rule, label, lengthBytes).copy(disk, offset);
  return disk;
}

/** The first `lengthBytes` of an endless sequence of blocks of 32 bytes. */
function ruleBytes(rule: Rule, label: string, lengthBytes: number): Buffer {
  const blocks: Buffer[] = [];
  for (let number = 0; number * BLOCK_BYTES < lengthBytes; number += 1) blocks.push(block(rule, label, number));
  return Buffer.concat(blocks).subarray(0, lengthBytes);
}

function block(rule: Rule, label: string, number: number): Buffer {
  if (rule === 'noise') return createHash('sha256').update(`${label} ${number}`).digest();
  const digits = BLOCK_BYTES - label.length - 2;
  return Buffer.from(`${label} ${String(number).padStart(digits, '0')}\n`);
}
