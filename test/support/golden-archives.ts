/**
 * What expected.json of a golden repository says of a container's archive. Bytes of paths, targets, names and values are written as one
 * character a byte (latin1).
 */
import type { Extent } from './golden-disks.js';
import type { MemberType } from './format-catalogue.js';
import type { Stream } from './format-stream.js';

/** `count` ranges of `lengthBytes` each, one every `everyBytes`, the first at `offset`. */
export interface Run {
  readonly offset: number;
  readonly lengthBytes: number;
  readonly count: number;
  readonly everyBytes: number;
}

/** As it is, or a text so many times. */
export type AttributeValue = string | { readonly text: string; readonly times: number };

/** What there is to know of a member, but for its bytes. Absent: there is none. */
export interface GoldenMember {
  readonly type: MemberType;
  readonly path: string;
  /** Octal. */
  readonly mode: string;
  readonly uid: number;
  readonly gid: number;
  readonly mtimeSeconds: number;
  readonly nanoseconds: number;
  /** Of a file. */
  readonly content?: {
    readonly sizeBytes: number;
    readonly sha256: string;
    /** Laid over zeroes as those of a disk; what lies in no range of a sparse file is zero all the same. */
    readonly extents: readonly Extent[];
    /** Of a sparse file: what of it is stored. */
    readonly stored?: readonly Run[];
  };
  readonly target?: string;
  readonly device?: readonly [number, number];
  readonly attributes?: Readonly<Record<string, AttributeValue>>;
  readonly acl?: string;
  readonly defaultAcl?: string;
}

export interface GoldenArchive {
  readonly name: string;
  readonly data: Stream;
  readonly catalogue: Stream;
  readonly members: readonly GoldenMember[];
}

export function attributeText(value: AttributeValue): string {
  return typeof value === 'string' ? value : value.text.repeat(value.times);
}

/** As the catalogue lists them: [offset, length]. */
export function rangesOf(runs: readonly Run[]): [number, number][] {
  return runs.flatMap(({ offset, lengthBytes, count, everyBytes }) =>
    Array.from({ length: count }, (_, index): [number, number] => [offset + index * everyBytes, lengthBytes]),
  );
}
