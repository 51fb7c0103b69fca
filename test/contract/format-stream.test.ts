/** That the reader of streams can fail: each rule of docs/format.md, "Map of a stream", is broken by itself; and how its cuts are computed. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { streamNode } from '../support/catalogue-bytes.js';
import { dataCuts, LARGE_FILE_BYTES, nodeCuts } from '../support/format-cuts.js';
import { FormatError } from '../support/format-error.js';
import { parseSnapshot } from '../support/format-json.js';
import { CATALOGUE, DATA, MAP_NODE, sha256, ZERO_SENTINEL } from '../support/format-records.js';
import { readStream, readStreamNode, type Child, type ChunkSource } from '../support/format-stream.js';

/** Chunks by type and id. */
class Chunks implements ChunkSource {
  readonly #byKey = new Map<string, Buffer>();

  add(bytes: Buffer, type: number): Child {
    const id = sha256(bytes);
    this.#byKey.set(`${type} ${id}`, bytes);
    return { id, lengthBytes: bytes.length };
  }

  node(...children: readonly Child[]): Child {
    const { id } = this.add(streamNode(children), MAP_NODE);
    return { id, lengthBytes: children.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0) };
  }

  read(id: string, type: number): Buffer {
    const bytes = this.#byKey.get(`${type} ${id}`);
    if (bytes === undefined) throw new FormatError('a chunk that a map refers to is in no pack');
    return bytes;
  }
}

const zeroes = (lengthBytes: number): Child => ({ id: ZERO_SENTINEL, lengthBytes });

describe('a stream', () => {
  const chunks = new Chunks();
  const [one, two] = [chunks.add(Buffer.from('one'), DATA), chunks.add(Buffer.from('two, longer'), DATA)];
  const leaf = chunks.node(one, zeroes(5), two);

  it('is its pieces one behind the other, zeroes where the sentinel stands', () => {
    const { bytes, pieces, levels } = readStream(chunks, { sizeBytes: 19, levels: 1, root: leaf.id }, DATA);
    assert.equal(bytes.toString('latin1'), 'one\0\0\0\0\0two, longer');
    assert.deepEqual(pieces, [one, zeroes(5), two]);
    assert.deepEqual(levels, [[pieces]]);
  });

  it('is empty without a map', () => {
    const { bytes, pieces } = readStream(chunks, { sizeBytes: 0, levels: 1, root: ZERO_SENTINEL }, DATA);
    assert.deepEqual([bytes.length, pieces.length], [0, 0]);
  });

  it('is refused where its description cannot be', () => {
    const wrong = [
      { sizeBytes: 19, levels: 0, root: leaf.id },
      { sizeBytes: 19, levels: 9, root: leaf.id },
      { sizeBytes: 19, levels: 1, root: ZERO_SENTINEL },
      { sizeBytes: 0, levels: 1, root: leaf.id },
      { sizeBytes: 0, levels: 2, root: ZERO_SENTINEL },
      { sizeBytes: 18, levels: 1, root: leaf.id },
      { sizeBytes: 19, levels: 2, root: leaf.id },
    ];
    for (const stream of wrong) assert.throws(() => readStream(chunks, stream, DATA), FormatError);
  });

  it('is refused where the sentinel stands for a node, or for a piece of a catalogue', () => {
    const { id } = chunks.add(Buffer.concat([streamNode([zeroes(5)])].map(asLevelOne)), MAP_NODE);
    assert.throws(() => readStream(chunks, { sizeBytes: 5, levels: 2, root: id }, DATA), /stands for a node/);
    const root = chunks.node(zeroes(5)).id;
    assert.throws(() => readStream(chunks, { sizeBytes: 5, levels: 1, root }, CATALOGUE), /a piece of a catalogue/);
  });

  it('is refused where a piece is too long, of another length, or of another type', () => {
    const long = chunks.node(zeroes(4 * 1024 * 1024 + 1));
    const { id: root, lengthBytes: sizeBytes } = long;
    assert.throws(() => readStream(chunks, { sizeBytes, levels: 1, root }, DATA), /longer than its type/);
    const other = chunks.node({ ...one, lengthBytes: 4 });
    assert.throws(() => readStream(chunks, { sizeBytes: 4, levels: 1, root: other.id }, DATA), /another length/);
    assert.throws(() => readStream(chunks, { sizeBytes: 19, levels: 1, root: leaf.id }, CATALOGUE), /in no pack/);
  });
});

function asLevelOne(node: Buffer): Buffer {
  const copy = Buffer.from(node);
  copy.writeUInt8(1, 5);
  return copy;
}

describe('a node of a stream', () => {
  const id = 'ab'.repeat(32);
  const good = streamNode([
    { id, lengthBytes: 3 },
    { id, lengthBytes: 4 },
  ]);

  it('is refused where a field is wrong', () => {
    assert.equal(readStreamNode(good, 0, 7).length, 2);
    const rules: [(bytes: Buffer) => unknown, RegExp][] = [
      [(b) => b.writeUInt8(0, 0), /magic/],
      [(b) => b.writeUInt8(0, 4), /another kind/],
      [(b) => b.writeUInt8(1, 5), /another level/],
      [(b) => b.writeUInt16LE(0, 6), /number of children/],
      [(b) => b.writeUInt16LE(257, 6), /number of children/],
      [(b) => b.writeUInt16LE(1, 6), /as long as its children/],
      [(b) => b.writeUInt8(1, 15), /reserved/],
      [(b) => b.writeUInt8(0, 48), /without a byte/],
      [(b) => b.writeUInt8(5, 48), /as long as its parent says/],
      [(b) => b.writeUInt8(1, 55), /as long as its parent says/],
    ];
    for (const [change, message] of rules) {
      const bytes = Buffer.from(good);
      change(bytes);
      assert.throws(() => readStreamNode(bytes, 0, 7), message);
    }
    assert.throws(() => readStreamNode(good.subarray(0, -1), 0, 7), /as long as its children/);
    assert.throws(() => readStreamNode(Buffer.concat([good, Buffer.alloc(40)]), 0, 7), /as long as its children/);
    assert.throws(() => readStreamNode(good.subarray(0, 15), 0, 7), /shorter than its header/);
  });

  it('should end behind its 256th child, or behind the first from the 32nd on whose id has seven zeroes', () => {
    const ids = (count: number, first = '01'): string[] => Array.from({ length: count }, () => first + '0'.repeat(62));
    assert.deepEqual(nodeCuts(ids(600)), [256, 256, 88]);
    assert.deepEqual(nodeCuts(ids(70, '80')), [32, 32, 6]);
    assert.deepEqual(nodeCuts([...ids(30), ...ids(1, '00'), ...ids(9), ...ids(1, '80'), ...ids(2)]), [41, 2]);
  });
});

describe('the cuts of data', () => {
  it('lie before and behind large files, and where a piece is as long as it may be', () => {
    const [small, large] = [300_000, 5_000_000];
    const data = Buffer.alloc(2 * small + large);
    const lengths = dataCuts(data, [200_000, 100_000, large, 200_000, 100_000]);
    const twoMib = 2 ** 21;
    assert.deepEqual(lengths, [2 ** 18, small - 2 ** 18, twoMib, twoMib, large - 2 * twoMib, 2 ** 18, small - 2 ** 18]);
    assert.deepEqual(dataCuts(Buffer.alloc(2 * LARGE_FILE_BYTES), [LARGE_FILE_BYTES, LARGE_FILE_BYTES]), [
      LARGE_FILE_BYTES,
      LARGE_FILE_BYTES,
    ]);
  });
});

describe('the archives of a snapshot document', () => {
  const stream = { sizeBytes: 5, levels: 1, root: 'a'.repeat(64) };
  const archive = { name: 'root', members: 1, data: stream, catalogue: stream };
  const document = {
    ...{ format: 1, repositoryId: 'f'.repeat(32), group: 'lxc/101', time: '2026-11-22T04:17:14Z' },
    ...{ finishedAt: '2026-11-22T04:17:15Z', createdBy: { version: '1', hostname: 'h' }, volumes: [], files: [] },
    stats: { readBytes: 0, zeroBytes: 0, reusedBytes: 0, newBytes: 0, addedBytes: 0 },
  };
  const parse = (archives: unknown): unknown => parseSnapshot(JSON.stringify({ ...document, archives })).archives;
  const named = (count: number): unknown[] => Array.from({ length: count }, (_, n) => ({ ...archive, name: `a${n}` }));

  it('are at most 16, of different names, and may be absent', () => {
    assert.deepEqual(parseSnapshot(JSON.stringify(document)).archives, []);
    assert.deepEqual(parse([archive]), [archive]);
    assert.equal((parse(named(16)) as unknown[]).length, 16);
    assert.throws(() => parse(named(17)), /too many archives/);
    assert.throws(() => parse([archive, archive]), /stands twice/);
    assert.throws(() => parse([{ ...archive, data: { ...stream, root: 'A'.repeat(64) } }]), /an invalid root/);
    assert.throws(() => parse([{ ...archive, members: -1 }]), /an invalid members/);
  });
});
