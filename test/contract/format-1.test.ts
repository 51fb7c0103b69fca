/**
 * The golden repositories of format 1 against docs/format.md: read from the page alone, and read by the program. What is in the archives of their
 * containers is looked at in format-1-archive.test.ts, what only an encrypted one has in format-1-encrypted.test.ts.
 */
import assert from 'node:assert/strict';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { CATALOGUE, DATA, MAP_NODE, sha256, ZERO_SENTINEL } from '../support/format-records.js';
import { diskBytes, type GoldenSnapshot } from '../support/golden-disks.js';
import { goldenRepositories, type GoldenFixture } from '../support/golden-fixtures.js';

/** What of the program's JSON is looked at. */
interface Shown {
  readonly disks: readonly { readonly name: string; readonly sizeBytes: number }[];
}
interface Verified {
  readonly damages: readonly unknown[];
  readonly packs: number;
  readonly chunks: number;
  readonly snapshots: readonly { readonly snapshot: string }[];
}

for (const golden of goldenRepositories) {
  describe(`${golden.title}, read with nothing but the page`, () => {
    readByThePage(golden);
  });
  describe(`${golden.title}, read by the program`, () => {
    readByTheProgram(golden);
  });
}

function readByThePage({ expected, read }: GoldenFixture): void {
  const repository = read();

  it('has the disks that are expected', () => {
    const found = repository.snapshots.map(({ volumes }) =>
      volumes.map((volume) => {
        const { bytes, dataChunkOffsets } = repository.readVolume(volume);
        const { name, sizeBytes, levels } = volume;
        assert.equal(volume.chunkSizeBytes, expected.chunkSizeBytes);
        return { name, sizeBytes, levels, sha256: sha256(bytes), dataChunkOffsets };
      }),
    );
    const disks = expected.snapshots.map((snapshot) => snapshot.disks.map(({ extents: _extents, ...disk }) => disk));
    assert.deepEqual(found, disks);
  });

  it('has the configurations, notes, log and protection that are expected', () => {
    const found = repository.snapshots.map(({ group, time, notes, log, files, ...snapshot }) => ({
      ...{ group, time, protected: snapshot.protected, notes, log: log?.toString('utf8') ?? null },
      files: Object.fromEntries(files.map(({ name, bytes }) => [name, bytes.toString('utf8')])),
    }));
    assert.deepEqual(
      found,
      expected.snapshots.map(({ disks: _disks, archive: _archive, ...snapshot }) => snapshot),
    );
  });

  it('holds what the rules of its description make', () => {
    for (const { sizeBytes, extents, sha256: digest } of expected.snapshots.flatMap(({ disks }) => disks)) {
      assert.equal(sha256(diskBytes(sizeBytes, extents)), digest);
    }
  });

  it('lists in its segments every chunk of its packs once, as the tables have it, and nothing else', () => {
    const listed = [...repository.segments.values()].flatMap(({ entries }) => entries);
    const inTables = [...repository.packs].flatMap(([packId, { entries }]) =>
      entries.map((entry, ordinal) => ({ ...entry, packId, ordinal })),
    );
    const sorted = (entries: typeof listed): typeof listed =>
      [...entries].sort((a, b) => a.packId.localeCompare(b.packId) || a.ordinal - b.ordinal);
    assert.deepEqual(sorted(listed), sorted(inTables));
  });

  it('has filters that deny most of what is not there', () => {
    const strangers = Array.from({ length: 1000 }, (_, number) => sha256(Buffer.from(`stranger ${number}`)));
    for (const segment of repository.segments.values()) {
      const mistaken = strangers.filter((id) => segment.mayHold(id));
      assert.ok(mistaken.length < 50, `${mistaken.length} of 1000`);
    }
  });

  it('has each codec and type, a map without nodes, one with a zero subtree, and chunks that two snapshots share', () => {
    const packs = [...repository.packs.values()];
    const kinds = new Set(packs.flatMap(({ entries }) => entries.map(({ type, codec }) => `${type} ${codec}`)));
    for (const kind of [`${DATA} 0`, `${DATA} 1`, `${MAP_NODE} 1`, `${CATALOGUE} 1`]) assert.ok(kinds.has(kind), kind);
    const [before, after] = repository.snapshots
      .filter(({ group }) => group === 'qemu/100')
      .map(({ volumes }) => new Map(volumes.map((volume) => [volume.name, volume])));
    assert.equal(before?.get('drive-virtio1')?.root, ZERO_SENTINEL);
    assert.equal(before.get('drive-efidisk0')?.root, after?.get('drive-efidisk0')?.root);
    const system = expected.snapshots.find(({ group }) => group === 'qemu/100')?.disks[0];
    const perLeaf = 256 * expected.chunkSizeBytes;
    const leaves = new Set(system?.dataChunkOffsets.map((offset) => Math.floor(offset / perLeaf)));
    assert.deepEqual([...leaves], [0, 2]);
  });
}

function readByTheProgram(golden: GoldenFixture): void {
  const { expected, read } = golden;
  const nameOf = ({ group, time }: GoldenSnapshot): string => `${group}@${time}`;
  const sizeOf = ({ disks, archive }: GoldenSnapshot): number =>
    disks.reduce((sum, { sizeBytes }) => sum + sizeBytes, archive?.data.sizeBytes ?? 0);

  it('is listed and shown', async (t) => {
    const { station, key } = golden.station(t);
    const listed = await station.json<Record<string, unknown>[]>('list', station.store, ...key);
    const wanted = expected.snapshots.map((snapshot) => ({
      ...{ snapshot: nameOf(snapshot), protected: snapshot.protected, notes: snapshot.notes ?? '' },
      ...{ sizeBytes: sizeOf(snapshot), damage: null },
    }));
    assert.deepEqual(
      listed.map(({ snapshot, protected: isProtected, notes, sizeBytes, damage }) => ({
        ...{ snapshot, protected: isProtected, notes, sizeBytes, damage },
      })),
      wanted,
    );
    for (const snapshot of expected.snapshots) {
      const shown = await station.json<Shown>('show', station.store, nameOf(snapshot), ...key);
      const disks = shown.disks.map(({ name, sizeBytes }) => ({ name, sizeBytes }));
      assert.deepEqual(
        disks,
        snapshot.disks.map(({ name, sizeBytes }) => ({ name, sizeBytes })),
      );
      for (const [name, content] of Object.entries(snapshot.files)) {
        const { out } = await station.must('show', station.store, nameOf(snapshot), '--file', name, ...key);
        assert.equal(out, content);
      }
    }
  });

  it('is found intact', async (t) => {
    const { station, key } = golden.station(t);
    const report = await station.json<Verified>('verify', station.store, ...key);
    const { packs } = read();
    const chunks = [...packs.values()].reduce((sum, { entries }) => sum + entries.length, 0);
    assert.deepEqual(report.damages, []);
    assert.deepEqual([report.packs, report.chunks], [packs.size, chunks]);
    // In the order in which they were verified last.
    assert.deepEqual(
      [...report.snapshots].sort((a, b) => a.snapshot.localeCompare(b.snapshot)),
      expected.snapshots.map((snapshot) => ({ snapshot: nameOf(snapshot), damages: [] })),
    );
  });

  it('has verify states as the page draws them once it was verified, and otherwise as before', async (t) => {
    const { station, key } = golden.station(t);
    const copy = join(station.store, 'vzvault');
    const [, ...before] = read(copy).snapshots.map(({ verifyState }) => verifyState);
    await station.must('verify', station.store, nameOf(expected.snapshots[0] ?? assert.fail()), ...key);
    const [checked, ...others] = read(copy).snapshots.map(({ verifyState }) => verifyState);
    assert.deepEqual([checked?.state, checked?.message], ['ok', '']);
    assert.deepEqual(others, before);
    const listed = await station.json<Record<string, unknown>[]>('list', station.store, ...key);
    assert.deepEqual(
      listed.map(({ verifyState }) => verifyState),
      ['ok', before[0]?.state ?? 'none', before[1]?.state ?? 'none'],
    );
  });

  it('is restored byte for byte', async (t) => {
    const { station, key } = golden.station(t);
    const copy = station.path('copy');
    for (const snapshot of expected.snapshots) {
      for (const { name, sha256: digest } of snapshot.disks) {
        await station.must('restore', station.store, nameOf(snapshot), '--disk', name, '--to', copy, ...key);
        assert.equal(sha256(readFileSync(copy)), digest, `${nameOf(snapshot)} ${name}`);
        rmSync(copy);
      }
    }
  });
}
