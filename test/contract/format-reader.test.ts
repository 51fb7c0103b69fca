/** That the reader of docs/format.md can fail: each damage to a copy of the golden repository, and each broken rule, is refused. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { appendFileSync, cpSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { FormatError } from '../support/format-error.js';
import { parseVerifyState } from '../support/format-json.js';
import { readRepository } from '../support/format-reader.js';
import { readDocument, readMapNode, readPack, readSegment, sha256 } from '../support/format-records.js';
import { projectRoot } from '../support/project.js';
import { cleanupsOf } from '../support/temp.js';
import { decodeFrame } from '../support/zstd-frame.js';

const golden = join(projectRoot, 'test/fixtures/format-1/vzvault');

/** Files of a part of a repository, the longest first. */
function filesOf(repository: string, part: string): string[] {
  const files = readdirSync(join(repository, part), { recursive: true, withFileTypes: true });
  const paths = files.filter((file) => file.isFile()).map((file) => join(file.parentPath, file.name));
  return paths.sort((a, b) => readFileSync(b).length - readFileSync(a).length);
}

function longest(part: string, name = ''): Buffer {
  const path = filesOf(golden, part).find((file) => file.endsWith(name));
  assert.ok(path !== undefined);
  return readFileSync(path);
}

function copyOfGolden(t: TestContext): string {
  const copy = join(cleanupsOf(t).directory(), 'vzvault');
  cpSync(golden, copy, { recursive: true });
  return copy;
}

function flip(path: string, at: number): void {
  const bytes = readFileSync(path);
  bytes.writeUInt8(bytes.readUInt8(at) ^ 0x10, at);
  writeFileSync(path, bytes);
}

type Change = (bytes: Buffer) => unknown;

function changed(bytes: Buffer, change: Change): Buffer {
  const copy = Buffer.from(bytes);
  change(copy);
  return copy;
}

const digestOf = (...parts: Buffer[]): Buffer => Buffer.from(sha256(Buffer.concat(parts)), 'hex');

describe('the reader of the format page refuses a repository', () => {
  const read = (repository: string): void => {
    const { snapshots, readVolume, readArchive } = readRepository(repository);
    for (const volume of snapshots.flatMap(({ volumes }) => volumes)) readVolume(volume);
    for (const archive of snapshots.flatMap(({ archives }) => archives)) readArchive(archive);
  };

  for (const part of ['packs', 'index', 'snapshots']) {
    it(`with a flipped bit anywhere in a file of ${part}`, (t) => {
      const copy = copyOfGolden(t);
      for (const path of filesOf(copy, part)) {
        const { length } = readFileSync(path);
        for (const at of new Set([0, 50, length >> 1, length - 100, length - 1])) {
          if (at < 0 || at >= length) continue;
          flip(path, at);
          assert.throws(() => read(copy), FormatError, `${basename(path)} at ${at}`);
          flip(path, at);
        }
      }
      read(copy);
    });
  }

  it('with a file that is a byte too short or too long', (t) => {
    const copy = copyOfGolden(t);
    for (const path of ['packs', 'index', 'snapshots'].map((part) => filesOf(copy, part)[0] ?? '')) {
      const bytes = readFileSync(path);
      truncateSync(path, bytes.length - 1);
      assert.throws(() => read(copy), FormatError, path);
      writeFileSync(path, bytes);
      appendFileSync(path, '\0');
      assert.throws(() => read(copy), FormatError, path);
      writeFileSync(path, bytes);
    }
  });

  it('with a pack or a segment missing', (t) => {
    for (const part of ['packs', 'index']) {
      const copy = copyOfGolden(t);
      rmSync(filesOf(copy, part)[0] ?? '');
      assert.throws(() => read(copy), /a chunk that a map refers to is in no pack/, part);
    }
  });

  it('with another format, whatever the second line of the config says, and with a config that was edited', (t) => {
    const copy = copyOfGolden(t);
    const text = readFileSync(join(copy, 'config'), 'utf8');
    const edits: [string, RegExp][] = [
      [text.replace('"format":1', '"format":2'), /another format than this reader knows/],
      [text.replace('262144', '524288'), /another digest/],
      [text.slice(0, -1), /two lines/],
      [`${text}\n`, /two lines/],
    ];
    for (const [edit, message] of edits) {
      writeFileSync(join(copy, 'config'), edit);
      assert.throws(() => read(copy), message);
    }
  });

  it('with a tombstone that is damaged, but takes a whole one for no snapshot', (t) => {
    const copy = copyOfGolden(t);
    const before = readRepository(copy).snapshots.length;
    const [path = ''] = filesOf(copy, 'snapshots').filter((file) => basename(file) === 'snapshot');
    const plain = Buffer.from(
      JSON.stringify({ sid: 'a'.repeat(32), by: 'b'.repeat(32), fencedAt: '2026-11-22T04:17:14Z' }),
    );
    const header = Buffer.alloc(56, 7);
    header.write('VZVSEAL\n\x01\0\0\0\x09\0\0\0', 'latin1');
    header.writeUInt32LE(plain.length, 16);
    header.writeUInt32LE(plain.length, 20);
    writeFileSync(path, Buffer.concat([header, plain, digestOf(header, plain)]));
    assert.equal(readRepository(copy).snapshots.length, before - 1);
    flip(path, 60);
    assert.throws(() => read(copy), FormatError);
  });

  it('with a snapshot in the directory of another time or guest', (t) => {
    for (const [from, to] of [
      ['qemu/100/20261122T041714Z', 'qemu/100/20261122T041715Z'],
      ['qemu/100', 'qemu/101'],
    ] as const) {
      const copy = copyOfGolden(t);
      cpSync(join(copy, 'snapshots', from), join(copy, 'snapshots', to), { recursive: true });
      assert.throws(() => read(copy), /in the directory of another/);
    }
  });
});

describe('the reader of the format page refuses, where all digests match,', () => {
  /** The same file with its digests made anew. */
  const refusesPack = (change: Change, message: RegExp): void => {
    const bytes = changed(longest('packs'), change);
    const trailer = bytes.subarray(bytes.length - 48);
    const tableAt = bytes.length - 48 - 52 * longest('packs').readUInt32LE(bytes.length - 48);
    digestOf(bytes.subarray(0, 48), bytes.subarray(tableAt, bytes.length - 40)).copy(trailer, 8);
    assert.throws(() => readPack(bytes, sha256(bytes)), message);
  };
  const tableEnd = longest('packs').length - 48;

  const packRules: [string, Change, RegExp][] = [
    ['of an unknown version', (b) => b.writeUInt16LE(2, 8), /unknown version/],
    ['of an unknown suite', (b) => b.writeUInt16LE(2, 10), /unknown suite/],
    ['of the suite of encrypted repositories', (b) => b.writeUInt16LE(1, 10), /another suite/],
    ['with a reserved field that is set', (b) => b.writeUInt32LE(1, 12), /reserved/],
    ['with a reserved field set in its table', (b) => b.writeUInt16LE(1, tableEnd - 18), /reserved/],
    ['with no entries', (b) => b.writeUInt32LE(0, tableEnd), /number of entries/],
    ['with a table of another length', (b) => b.writeUInt32LE(52, tableEnd + 4), /another length than its entries/],
    ['with an unknown type', (b) => b.writeUInt8(4, tableEnd - 20), /unknown type/],
    ['with an unknown codec', (b) => b.writeUInt8(2, tableEnd - 19), /unknown codec/],
    [
      'with a chunk that is longer than its type may be',
      (b) => b.writeUInt32LE(2 ** 23, tableEnd - 12),
      /plain length/,
    ],
    ['with a gap between chunks', (b) => b.writeUInt8(b.readUInt8(tableEnd - 8) ^ 1, tableEnd - 8), /gap/],
    ['without its first magic', (b) => b.write('VZVOTHER\n'), /magic/],
    ['without its last magic', (b) => b.writeUInt8(0, b.length - 1), /magic/],
  ];
  for (const [what, change, message] of packRules) it(`a pack ${what}`, () => refusesPack(change, message));

  const segmentRules: [string, Change, RegExp][] = [
    ['of an unknown version', (b) => b.writeUInt16LE(2, 8), /unknown version/],
    ['of the suite of encrypted repositories', (b) => b.writeUInt16LE(1, 10), /another suite/],
    ['with another number of filter blocks', (b) => b.writeUInt8(9, 24), /filter blocks/],
    ['with no packs', (b) => b.writeUInt32LE(0, 12), /number of packs/],
    ['with more entries than its length has room for', (b) => b.writeUInt8(b.readUInt8(16) + 1, 16), /as long as/],
    ['with its packs in another order', (b) => b.fill(0xff, 64, 96), /packs of a segment are not in ascending order/],
    ['with entries in another order', (b) => b.fill(0xff, 128, 160), /entries of a segment are not in ascending order/],
    ['with an entry in a pack that it does not list', (b) => b.writeUInt32LE(2, 128 + 32), /does not list/],
    ['with a filter that denies what it holds', (b) => b.fill(0, b.length - 64), /filter of a segment denies/],
  ];
  for (const [what, change, message] of segmentRules) {
    it(`a segment ${what}`, () => {
      const bytes = changed(longest('index'), change);
      assert.throws(() => readSegment(bytes, sha256(bytes)), message);
    });
  }

  it('nothing of a segment for its salt', () => {
    const bytes = changed(longest('index'), (b) => b.fill(0xa5, 32, 64));
    assert.ok(readSegment(bytes, sha256(bytes)).entries.length > 0);
  });

  const documentRules: [string, Change, RegExp][] = [
    ['of another kind', (b) => b.writeUInt8(2, 12), /another kind/],
    ['of the suite of encrypted repositories', (b) => b.writeUInt16LE(1, 10), /another suite/],
    ['of an unknown codec', (b) => b.writeUInt8(2, 13), /unknown codec/],
    ['with a reserved field that is set', (b) => b.writeUInt8(1, 15), /reserved/],
    ['with another plain length', (b) => b.writeUInt32LE(b.readUInt32LE(16) + 1, 16), /length/],
    ['with a plain length beyond the limit', (b) => b.writeUInt32LE(2 ** 24 + 1, 16), /plain length/],
    ['with another stored length', (b) => b.writeUInt32LE(b.readUInt32LE(20) - 1, 20), /as long as/],
  ];
  for (const [what, change, message] of documentRules) {
    it(`a document ${what}`, () => {
      const bytes = changed(longest('snapshots', 'snapshot'), change);
      digestOf(bytes.subarray(0, bytes.length - 32)).copy(bytes, bytes.length - 32);
      assert.throws(() => readDocument(bytes, 1), message);
    });
  }

  it('a verify state of another form', () => {
    const good = { state: 'damaged', checkedAt: '2026-11-22T04:17:14Z', message: 'why' };
    assert.deepEqual(parseVerifyState(JSON.stringify(good)), good);
    for (const missing of ['many', [], [`data:${'ab'.repeat(32)}`]]) {
      assert.deepEqual(parseVerifyState(JSON.stringify({ ...good, missing })), { ...good, missing });
    }
    const wrong = [
      { missing: 'few' },
      { missing: ['ab'.repeat(32)] },
      { missing: Array(129).fill(`data:${'ab'.repeat(32)}`) },
    ];
    for (const change of [{ state: 'none' }, { checkedAt: '2026-11-22' }, { message: undefined }, ...wrong]) {
      assert.throws(() => parseVerifyState(JSON.stringify({ ...good, ...change })), /a verify state has an invalid/);
    }
  });

  it('a map node of another level, kind or number of children, and one without a child', () => {
    const node = Buffer.concat([
      Buffer.from('VZMN\0\x01\x02\0'),
      Buffer.alloc(8),
      Buffer.alloc(32),
      Buffer.alloc(32, 7),
    ]);
    assert.deepEqual(readMapNode(node, 1, 2), ['00'.repeat(32), '07'.repeat(32)]);
    const rules: [Change, RegExp][] = [
      [(b) => b.writeUInt8(0, 0), /magic/],
      [(b) => b.writeUInt8(1, 4), /unknown kind/],
      [(b) => b.writeUInt8(0, 5), /another level/],
      [(b) => b.writeUInt8(3, 6), /number of children/],
      [(b) => b.writeUInt8(1, 15), /reserved/],
      [(b) => b.fill(0, 48), /all its children are zero/],
    ];
    for (const [change, message] of rules) assert.throws(() => readMapNode(changed(node, change), 1, 2), message);
    assert.throws(() => readMapNode(node.subarray(0, 79), 1, 2), /as long as its children/);
  });

  it('a frame that does not declare its length, declares another, or does not end where it should', () => {
    const plain = Buffer.from('one and the same text, '.repeat(20));
    const undeclared = execFileSync('zstd', ['-c', '-q'], { input: plain });
    assert.throws(() => decodeFrame(undeclared, plain.length), /does not declare/);
    const declared = execFileSync('zstd', ['-c', '-q', `--stream-size=${plain.length}`], { input: plain });
    assert.deepEqual(decodeFrame(declared, plain.length), plain);
    assert.throws(() => decodeFrame(declared, plain.length - 1), /another length/);
    assert.throws(() => decodeFrame(Buffer.concat([declared, declared]), plain.length), /does not end/);
    assert.throws(() => decodeFrame(declared.subarray(0, -1), plain.length), /does not end|cut short/);
  });
});
