/** The containers of the golden repositories of format 1 against docs/format.md: read from the page alone, and read by the program. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { escapePath } from '../../src/commands/tree-path.js';
import type { MemberContents } from '../support/format-reader.js';
import { catalogueCuts, dataCuts, LARGE_FILE_BYTES, nodeCuts } from '../support/format-cuts.js';
import { CATALOGUE, sha256, ZERO_SENTINEL } from '../support/format-records.js';
import { attributeText, rangesOf, type GoldenArchive, type GoldenMember } from '../support/golden-archives.js';
import { diskBytes } from '../support/golden-disks.js';
import { goldenRepositories, type GoldenFixture } from '../support/golden-fixtures.js';

const REFERENCE = 'lxc/101@2026-11-22T06:17:14Z';

function archiveOf({ expected }: GoldenFixture): GoldenArchive {
  const archive = expected.snapshots.find(({ group }) => group === 'lxc/101')?.archive;
  assert.ok(archive);
  return archive;
}

/** In one form: what is expected ... */
function wanted(member: GoldenMember): Record<string, unknown> {
  const { content, attributes = {}, target = null, device = null, acl = null, defaultAcl = null, ...plain } = member;
  return {
    ...{ ...plain, target, device, acl, defaultAcl },
    attributes: Object.fromEntries(Object.entries(attributes).map(([name, value]) => [name, attributeText(value)])),
    sizeBytes: content?.sizeBytes ?? 0,
    extents: content?.stored === undefined ? null : rangesOf(content.stored),
    sha256: content?.sha256 ?? sha256(Buffer.alloc(0)),
  };
}

/** ... and what was found. */
function found({ mode, bytes, storedBytes, dataOffset: _offset, ...member }: MemberContents): Record<string, unknown> {
  assert.equal(storedBytes, member.extents?.reduce((sum, [, length]) => sum + length, 0) ?? member.sizeBytes);
  return { ...member, mode: mode.toString(8).padStart(4, '0'), sha256: sha256(bytes) };
}

for (const fixture of goldenRepositories) {
  describe(`the archive of ${fixture.title}, read with nothing but the page`, () => {
    readByThePage(fixture);
  });
  describe(`the archive of ${fixture.title}, read by the program`, () => {
    readByTheProgram(fixture);
  });
}

function readByThePage(fixture: GoldenFixture): void {
  const golden = archiveOf(fixture);
  const repository = fixture.read();
  const [archive, ...others] = repository.snapshots.flatMap(({ archives }) => archives);
  assert.ok(archive);
  const { data, catalogue, members, records } = repository.readArchive(archive);

  it('is the one that is expected', () => {
    assert.deepEqual(others, []);
    const { members: listed, ...described } = golden;
    assert.deepEqual(archive, { ...described, members: listed.length });
  });

  it('has the members that are expected, in their order', () => {
    assert.equal(members.length, golden.members.length);
    for (const [index, member] of members.entries()) {
      assert.deepEqual(found(member), wanted(golden.members[index] ?? assert.fail()), JSON.stringify(member.path));
    }
  });

  it('holds what the rules of its description make', () => {
    for (const { path, content } of golden.members) {
      if (content === undefined) continue;
      const bytes = Buffer.alloc(content.sizeBytes);
      const laid = diskBytes(content.sizeBytes, content.extents);
      for (const [offset, length] of content.stored === undefined ? [[0, bytes.length]] : rangesOf(content.stored)) {
        laid.copy(bytes, offset, offset, (offset ?? 0) + (length ?? 0));
      }
      assert.equal(sha256(bytes), content.sha256, path);
    }
  });

  it('is cut as a writer should', () => {
    const lengths = ({ pieces }: typeof data): number[] => pieces.map(({ lengthBytes }) => lengthBytes);
    const stored = members.map(({ storedBytes }) => storedBytes);
    assert.deepEqual(lengths(data), dataCuts(data.bytes, stored, repository.suite));
    assert.deepEqual(lengths(catalogue), catalogueCuts(records, repository.suite));
    for (const level of [...data.levels, ...catalogue.levels]) {
      const ids = level.flat().map(({ id }) => id);
      assert.deepEqual(
        level.map((children) => children.length),
        nodeCuts(ids),
      );
    }
  });

  it('has members of each type, and what only some members have', () => {
    const types = new Set(members.map(({ type }) => type));
    assert.equal(types.size, 7);
    const has: Record<string, (member: MemberContents) => boolean> = {
      'a large file': ({ storedBytes }) => storedBytes >= LARGE_FILE_BYTES,
      'an empty file': ({ type, sizeBytes }) => type === 'file' && sizeBytes === 0,
      'several extents': ({ extents }) => (extents?.length ?? 0) > 1,
      'further extents': ({ extents }) => (extents?.length ?? 0) > 16_384,
      'a hole and nothing else': ({ extents }) => extents?.length === 0,
      'an ACL': ({ acl }) => acl !== null,
      'a default ACL': ({ defaultAcl }) => defaultAcl !== null,
      attributes: ({ attributes }) => Object.keys(attributes).length > 1,
      'a time before 1970': ({ mtimeSeconds }) => mtimeSeconds < 0,
      'a time beyond 32 bits': ({ mtimeSeconds }) => mtimeSeconds > 2 ** 32,
      nanoseconds: ({ nanoseconds }) => nanoseconds > 0,
      'ids beyond 31 bits': ({ uid, gid }) => uid > 2 ** 31 && gid > 2 ** 31,
      'a path of a thousand bytes': ({ path }) => path.length > 1_000,
      'a name that is no text': ({ path }) => path.includes('\xff'),
    };
    for (const [what, isSo] of Object.entries(has)) assert.ok(members.some(isSo), what);
  });

  it('has data of two levels, pieces of zeroes that are not stored, and a catalogue of several pieces', () => {
    assert.equal(archive.data.levels, 2);
    assert.ok(data.pieces.some(({ id }) => id === ZERO_SENTINEL));
    assert.ok(data.pieces.some(({ id, lengthBytes }) => id !== ZERO_SENTINEL && lengthBytes > LARGE_FILE_BYTES));
    assert.ok(catalogue.pieces.length >= 3);
  });

  it('has its catalogue in packs without data', () => {
    for (const { entries } of repository.packs.values()) {
      const types = new Set(entries.map(({ type }) => type));
      assert.ok(!types.has(CATALOGUE) || !types.has(1));
    }
  });
}

interface Listed {
  readonly path: string;
  readonly sizeBytes: number;
  readonly type: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly modifiedSeconds: number;
  readonly modifiedNanoseconds: number;
}

function readByTheProgram(fixture: GoldenFixture): void {
  const golden = archiveOf(fixture);

  it('is listed', async (t) => {
    const { station, key } = fixture.station(t);
    const listed = await station.json<Listed[]>('files', station.store, REFERENCE, '--recursive', ...key);
    const byPath = new Map(listed.map((entry) => [entry.path, entry]));
    const first = new Map(golden.members.map((member) => [member.path, member]));
    assert.equal(listed.length, golden.members.length - 1);
    for (const member of golden.members.slice(1)) {
      const entry = byPath.get(`/${escapePath(Buffer.from(member.path, 'latin1'))}`);
      assert.ok(entry, member.path);
      // A hard link is shown as what it leads to.
      const shown = member.type === 'hard link' ? first.get(member.target ?? '') : member;
      assert.ok(shown);
      assert.deepEqual(
        [entry.mode, entry.uid, entry.gid, entry.modifiedSeconds, entry.modifiedNanoseconds],
        [parseInt(shown.mode, 8), shown.uid, shown.gid, shown.mtimeSeconds, shown.nanoseconds],
        member.path,
      );
      if (shown.type === 'file') assert.equal(entry.sizeBytes, shown.content?.sizeBytes, member.path);
    }
  });

  it('is copied out byte for byte', async (t) => {
    const { station, key } = fixture.station(t);
    const copy = station.path('copy');
    await station.must('cp', station.store, REFERENCE, '/', copy, ...key);
    for (const { path, content } of golden.members) {
      if (content === undefined) continue;
      const file = Buffer.concat([Buffer.from(`${copy}/`), Buffer.from(path, 'latin1')]);
      assert.equal(sha256(readFileSync(file)), content.sha256, path);
    }
  });
}
