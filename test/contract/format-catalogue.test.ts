/** That the reader of catalogues can fail: each rule of docs/format.md, "Catalogue", is broken by itself, and pieces are damaged at random. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { extents, furtherExtents, record, sparseFile, streamNode, text, varint } from '../support/catalogue-bytes.js';
import { mustBeAcl } from '../support/format-acl.js';
import { readCatalogue, type Member } from '../support/format-catalogue.js';
import { FormatError } from '../support/format-error.js';
import { readRepository } from '../support/format-reader.js';
import { sha256 } from '../support/format-records.js';
import { readStreamNode } from '../support/format-stream.js';
import { projectRoot } from '../support/project.js';

/** The piece of the page's worked example, a record a line. */
const example = Buffer.from(
  ['020000036574 63ed030000 0200', '010303022f61 a4030000 02f403 ac020702 0203c30104 01 06757365722e7802797a']
    .join('')
    .replaceAll(' ', ''),
  'hex',
);
const FIRST_RECORD_BYTES = 13;

const read = (...pieces: readonly Buffer[]): readonly Member[] => readCatalogue(pieces).members;

function refuses(what: string, pieces: readonly Buffer[], message: RegExp): void {
  it(what, () => {
    assert.throws(
      () => read(...pieces),
      (error) => error instanceof FormatError && message.test(error.message),
    );
  });
}

describe('the worked example of the format page', () => {
  it('has the ids that the page says', () => {
    const id = sha256(example);
    assert.equal(id, '906bb68648396b0970c3048d5b4ef96f55507f4636959dd4e788cb3f9ea4ac25');
    const node = streamNode([{ id, lengthBytes: 46 }]);
    assert.equal(sha256(node), '5f0ed7ab5747378a772bcb123a7d77ad37918f43f7c147fdf1a956c39924cdc5');
    assert.deepEqual(readStreamNode(node, 0, 46), [{ id, lengthBytes: 46 }]);
  });

  it('has the members that the page says', () => {
    const common = { uid: 0, gid: 0, mtimeSeconds: 1, target: null, device: null, acl: null, defaultAcl: null };
    assert.deepEqual(read(example), [
      {
        ...{ type: 'directory', path: 'etc', mode: 0o755, nanoseconds: 0, ...common },
        ...{ sizeBytes: 0, storedBytes: 0, extents: null, attributes: {} },
      },
      {
        ...{ type: 'file', path: 'etc/a', mode: 0o644, nanoseconds: 500, ...common, sizeBytes: 300, storedBytes: 7 },
        extents: [
          [2, 3],
          [200, 4],
        ],
        attributes: { 'user.x': 'yz' },
      },
    ]);
  });
});

describe('a damaged piece of a catalogue', () => {
  it('is refused wherever it is cut, but between records', () => {
    for (let length = 1; length < example.length; length += 1) {
      const cut = example.subarray(0, length);
      if (length === FIRST_RECORD_BYTES) assert.equal(read(cut).length, 1);
      else assert.throws(() => read(cut), FormatError, `after ${length} bytes`);
    }
  });

  it('is refused with any byte behind its last record', () => {
    for (let byte = 0; byte < 256; byte += 1)
      assert.throws(() => read(Buffer.concat([example, Buffer.from([byte])])), FormatError, `${byte}`);
  });

  it('is refused with a record that goes on in the next piece', () => {
    for (let length = FIRST_RECORD_BYTES + 1; length < example.length; length += 1)
      assert.throws(() => read(example.subarray(0, length), example.subarray(length)), FormatError, `${length}`);
  });

  /** Whether it is refused; fails where the piece tells the same as before. */
  function refusesOrDiffers(piece: Buffer, before: string, at: number, bit: number): boolean {
    const damaged = Buffer.from(piece);
    damaged.writeUInt8(damaged.readUInt8(at) ^ (1 << bit), at);
    try {
      assert.notEqual(JSON.stringify(read(damaged)), before, `bit ${bit} of byte ${at}`);
      return false;
    } catch (error) {
      if (error instanceof FormatError) return true;
      throw error;
    }
  }

  it('is refused with a bit flipped, or tells of something else: nothing has two spellings', () => {
    const before = JSON.stringify(read(example));
    let refused = 0;
    for (let at = 0; at < example.length; at += 1)
      for (let bit = 0; bit < 8; bit += 1) refused += refusesOrDiffers(example, before, at, bit) ? 1 : 0;
    assert.ok(refused > example.length, `${refused}`);
  });

  it('so also one of the golden repository', () => {
    const golden = readRepository(join(projectRoot, 'test/fixtures/format-1/vzvault'));
    const [archive] = golden.snapshots.flatMap(({ archives }) => archives);
    assert.ok(archive);
    const { catalogue } = golden.readArchive(archive);
    // The first records, which are of all types; the extents of a sparse file make up most of the rest.
    const piece = Buffer.from(catalogue.bytes.subarray(0, endOfRecord(catalogue.bytes, 30)));
    const before = JSON.stringify(read(piece));
    let refused = 0;
    for (let at = 0; at < piece.length; at += 3) refused += refusesOrDiffers(piece, before, at, at % 8) ? 1 : 0;
    assert.ok(refused > 100, `${refused}`);
  });

  /** Where the record that begins the piece's `count`th member ends. */
  function endOfRecord(bytes: Buffer, count: number): number {
    for (let length = 1; ; length += 1) {
      try {
        if (read(bytes.subarray(0, length)).length === count) return length;
      } catch (error) {
        if (!(error instanceof FormatError)) throw error;
      }
    }
  }
});

describe('a catalogue', () => {
  const file = (suffix: string, shared = 0): Buffer =>
    record({ type: 1, suffix, shared, rest: [varint(3), varint(3)] });
  const withAttributes = (suffix: string, ...list: readonly Buffer[]): Buffer =>
    record({ type: 2, flags: 2, suffix, rest: [varint(list.length), ...list.flat()] });
  const attribute = (name: string, value = ''): Buffer => Buffer.concat([text(name), text(value)]);

  it('may have what the page allows at its limits', () => {
    const name = 'n'.repeat(255);
    const longest = Array.from({ length: 256 }, () => name).join('/');
    const all = Array.from({ length: 31 }, (_, index) => attribute(`user.${10 + index}`, 'v'.repeat(65_536)));
    const [root, link, ...others] = read(
      record({ type: 2, suffix: '' }),
      record({ type: 3, suffix: longest, mode: 0o7777, rest: [text('t'.repeat(4_095))] }),
      record({
        ...{ type: 5, suffix: 'a', uid: 2 ** 32 - 1, gid: 2 ** 32 - 1 },
        rest: [varint(2 ** 12 - 1), varint(2 ** 20 - 1)],
      }),
      record({ type: 7, suffix: 'b', nanoseconds: 999_999_999, mtime: 2 ** 40 + 1 }),
      record({ type: 1, suffix: 'c', rest: [varint(2 ** 53 - 1), varint(2 ** 53 - 1)] }),
      record({ type: 4, suffix: 'd', rest: [text('c')] }),
      withAttributes('e', ...all),
      sparseFile(5, 0, extents(), 'f'),
      sparseFile(65_535, 16_385, extents(...Array.from({ length: 16_384 }, () => [1, 1] as const)), 'g'),
      furtherExtents(extents([40_000, 1])),
    );
    assert.equal(root?.path, '');
    assert.equal(link?.path.length, 65_535);
    assert.equal(others[1]?.mtimeSeconds, -(2 ** 39) - 1);
    assert.equal(others.at(-1)?.extents?.length, 16_385);
  });

  it('lets a path share all of the one before, and nothing at the beginning of a piece', () => {
    assert.deepEqual(
      read(Buffer.concat([file('abc'), file('d', 3), file('', 2)]), file('abe')).map(({ path }) => path),
      ['abc', 'abcd', 'ab', 'abe'],
    );
  });

  describe('is refused', () => {
    refuses('with an unknown type', [record({ type: 9 })], /unknown type/);
    refuses('with type 0', [record({ type: 0 })], /unknown type/);
    refuses('with an unknown flag', [record({ type: 2, flags: 16 })], /unknown flag/);
    refuses('with a directory that is sparse', [record({ type: 2, flags: 1 })], /no file is sparse/);
    refuses('with a path that shares too little', [Buffer.concat([file('ab'), file('ac')])], /shares less/);
    refuses('with a path that shares more than there is', [Buffer.concat([file('ab'), file('c', 3)])], /its limit/);
    refuses('with a path that shares with another piece', [file('ab'), file('c', 1)], /its limit/);
    for (const path of ['/a', 'a/', 'a//b', '.', 'a/..', '../a', './a', 'a\0b', 'n'.repeat(256)])
      refuses(`with the path ${JSON.stringify(path.slice(0, 9))}`, [file(path)], /a path has a/);
    refuses('with a path beyond 64 KiB', [file('a/'.repeat(32_768) + 'b')], /beyond its limit/);
    refuses('with a root that is a file', [file('')], /the root is no directory/);
    refuses('with more than the permission bits', [record({ type: 2, mode: 0o10000 })], /its limit/);
    refuses('with an id of 33 bits', [record({ type: 2, uid: 2 ** 32 })], /its limit/);
    refuses('with a second of nanoseconds', [record({ type: 2, nanoseconds: 1e9 })], /its limit/);
    refuses('with a size beyond 2^53', [record({ type: 1, rest: [varint(2 ** 53), varint(2 ** 53)] })], /its limit/);
    refuses('with a file that stores less', [record({ type: 1, rest: [varint(3), varint(2)] })], /another length/);
    refuses('with a major of 13 bits', [record({ type: 6, rest: [varint(2 ** 12), varint(0)] })], /its limit/);
    refuses('with a minor of 21 bits', [record({ type: 5, rest: [varint(0), varint(2 ** 20)] })], /its limit/);

    const two = Buffer.concat([Buffer.from([2, 0, 0, 1, 0x61, 0x80, 0x00]), Buffer.alloc(4)]);
    refuses('with a number that is longer than it has to be', [two], /longer than it has to be/);
    refuses('with a number beyond 64 bits', [record({ type: 2, mtime: 2n ** 64n })], /64 bits/);

    refuses('with an empty target', [record({ type: 3, rest: [text('')] })], /the target of a symbolic link/);
    refuses('with a NUL in a target', [record({ type: 3, rest: [text('a\0')] })], /the target of a symbolic link/);
    refuses('with a target beyond 4,095 bytes', [record({ type: 3, rest: [text('t'.repeat(4_096))] })], /its limit/);
    const link = (target: string): Buffer => record({ type: 4, suffix: 'l', rest: [text(target)] });
    refuses('with a hard link out of the archive', [Buffer.concat([file('a'), link('../a')])], /a path has a/);
    refuses('with a hard link to nothing', [Buffer.concat([file('a'), link('b')])], /no earlier member/);
    refuses('with a hard link to itself', [link('l')], /no earlier member/);
    refuses('with a hard link to a later member', [link('m'), file('m')], /no earlier member/);
    refuses('with a hard link to a directory', [record({ type: 2 }), link('a')], /leads to a directory/);
    refuses('with a hard link to a directory that none tells of', [file('d/f'), link('d')], /no earlier member/);

    const directory = (suffix: string): Buffer => record({ type: 2, suffix });
    refuses('with a path twice', [file('a'), file('a')], /two members have one path/);
    refuses('with a directory twice', [directory('a'), directory('a')], /two members have one path/);
    refuses('with something below a file', [file('a'), file('a/b')], /below what is no directory/);
    refuses('with something far below a link', [record({ type: 3, rest: [text('x')] }), file('a/b/c')], /below what/);
    refuses('with a directory after what lies in it', [file('a/b'), directory('a')], /comes after what lies in it/);
    refuses('with a file where others lie', [file('a/b/c'), file('a/b')], /comes after what lies in it/);
    refuses('with the root after what lies in it', [file('a'), directory('')], /comes after what lies in it/);

    refuses('with the flag for attributes, and none', [withAttributes('a')], /and none/);
    refuses('with attributes out of order', [withAttributes('a', attribute('b'), attribute('a'))], /ascending/);
    refuses('with an attribute twice', [withAttributes('a', attribute('a'), attribute('a'))], /ascending/);
    refuses('with an attribute without a name', [withAttributes('a', attribute(''))], /empty or has a NUL/);
    refuses('with a name of 256 bytes', [withAttributes('a', attribute('n'.repeat(256)))], /its limit/);
    refuses('with a value beyond 64 KiB', [withAttributes('a', attribute('a', 'v'.repeat(65_537)))], /its limit/);
    const tooLarge = Array.from({ length: 32 }, (_, index) => attribute(`a${10 + index}`, 'v'.repeat(65_536)));
    refuses('with attributes beyond 2 MiB', [withAttributes('a', ...tooLarge)], /too large/);
    refuses('with an empty ACL', [record({ type: 2, flags: 4, rest: [text('')] })], /another form/);
    refuses('with an empty default ACL', [record({ type: 2, flags: 8, rest: [text('')] })], /another form/);
  });

  describe('is refused, as to the extents of a file,', () => {
    refuses('where one is empty', [sparseFile(9, 0, extents([0, 0]))], /empty/);
    refuses('where two touch', [sparseFile(9, 2, extents([0, 1], [0, 1]))], /the one before ends/);
    refuses('where one lies beyond the size', [sparseFile(9, 2, extents([8, 2]))], /beyond the size/);
    refuses('where they are more than is stored', [sparseFile(9, 1, extents([0, 2]))], /longer than what is stored/);
    refuses('where there are too many', [sparseFile(9, 1, varint(16_385))], /its limit/);
    refuses('where they are less than is stored', [sparseFile(9, 2, extents([0, 1]))], /missing at the end/);
    const begun = sparseFile(9, 2, extents([0, 1]));
    refuses('where another member follows', [Buffer.concat([begun, file('b')])], /further extents are missing/);
    refuses('where further ones follow unasked', [file('b'), furtherExtents(extents([0, 1]))], /follow unasked/);
    refuses('where nothing is before them', [furtherExtents(extents([0, 1]))], /follow unasked/);
    refuses('where further ones are none', [begun, furtherExtents(extents())], /are none/);
    refuses('where further ones do not lie further', [begun, furtherExtents(extents([1, 1]))], /do not lie further/);
    refuses('where further ones lie beyond the size', [begun, furtherExtents(extents([9, 1]))], /beyond the size/);
    refuses('where further ones are too long', [begun, furtherExtents(extents([3, 2]))], /longer than what is stored/);
    refuses('where further ones have other flags', [begun, Buffer.from([8, 3, 1, 3, 1])], /other flags/);
  });
});

describe('an ACL', () => {
  it('is taken in the one spelling of the page', () => {
    for (const acl of [
      'user::rwx,group::r-x,other::---',
      'user::rwx,group::r-x,mask::r--,other::---',
      'user::rw-,user:0:r--,user:1000:r--,group::r--,group:4294967295:---,mask::r--,other::---',
    ])
      assert.equal(mustBeAcl(acl), acl);
  });

  it('is refused in any other', () => {
    for (const acl of [
      'user::rwx,group::r-x',
      'group::r-x,user::rwx,other::---',
      'user::rwx,user::rwx,group::r-x,other::---',
      'user::rwx,user:1:r--,group::r-x,other::---',
      'user::rwx,user:2:r--,user:1:r--,group::r-x,mask::r--,other::---',
      'user::rwx,user:1:r--,user:1:r--,group::r-x,mask::r--,other::---',
      'user::rwx,user:01:r--,group::r-x,mask::r--,other::---',
      'user::rwx,user:4294967296:r--,group::r-x,mask::r--,other::---',
      'user::rwx,user:root:r--,group::r-x,mask::r--,other::---',
      'user::rwx,group::r-x,mask:1:r--,other::---',
      'user::rwx,group::r-x,mask::r--,mask::r--,other::---',
      'user::rw,group::r-x,other::---',
      'user::wrx,group::r-x,other::---',
      'u::rwx,g::r-x,o::---',
      'user::rwx,group::r-x,other::---,',
      'user::rwx\ngroup::r-x\nother::---',
    ])
      assert.throws(() => mustBeAcl(acl), FormatError, acl);
  });
});
