/** Records of a catalogue put together by hand, rules kept or broken as the test wants it (docs/format.md, "Catalogue"). */

export function varint(number: number | bigint): Buffer {
  const bytes: number[] = [];
  let rest = BigInt(number);
  for (; rest > 0x7fn; rest >>= 7n) bytes.push(Number(rest & 0x7fn) | 0x80);
  return Buffer.from([...bytes, Number(rest)]);
}

/** One character a byte. */
export function text(value: string): Buffer {
  return Buffer.concat([varint(value.length), Buffer.from(value, 'latin1')]);
}

export interface RecordFields {
  readonly type: number;
  readonly flags?: number;
  readonly shared?: number;
  readonly suffix?: string;
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  /** Zigzag. */
  readonly mtime?: number | bigint;
  readonly nanoseconds?: number;
  /** What stands behind the fields that all records have. */
  readonly rest?: readonly Buffer[];
}

export function record({ type, flags = 0, rest = [], ...fields }: RecordFields): Buffer {
  const { shared = 0, suffix = 'a', mode = 0o644, uid = 0, gid = 0, mtime = 0, nanoseconds = 0 } = fields;
  const numbers = [mode, uid, gid, mtime, nanoseconds].map(varint);
  return Buffer.concat([Buffer.from([type, flags]), varint(shared), text(suffix), ...numbers, ...rest]);
}

/** A list of extents: n, then (gap, length). */
export function extents(...pairs: readonly (readonly [number, number])[]): Buffer {
  return Buffer.concat([varint(pairs.length), ...pairs.flat().map(varint)]);
}

export function sparseFile(size: number, stored: number, list: Buffer, suffix = 'a'): Buffer {
  return record({ type: 1, flags: 1, suffix, rest: [varint(size), varint(stored), list] });
}

/** A record of type 8. */
export function furtherExtents(list: Buffer): Buffer {
  return Buffer.concat([Buffer.from([8, 1]), list]);
}

/** One node of level 0 of a stream's map. */
export function streamNode(children: readonly { readonly id: string; readonly lengthBytes: number }[]): Buffer {
  const header = Buffer.alloc(16);
  header.write('VZMN\x01', 'latin1');
  header.writeUInt16LE(children.length, 6);
  return Buffer.concat([
    header,
    ...children.map(({ id, lengthBytes }) => {
      const length = Buffer.alloc(8);
      length.writeBigUInt64LE(BigInt(lengthBytes));
      return Buffer.concat([Buffer.from(id, 'hex'), length]);
    }),
  ]);
}
