/**
 * The golden repository of format 1 against docs/format.md: read from the page alone, and read by the program. What is in the archive of its
 * container is looked at in format-1-archive.test.ts.
 */
import assert from 'node:assert/strict';
import { cpSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { readRepository } from '../support/format-reader.js';
import { CATALOGUE, DATA, MAP_NODE, sha256, ZERO_SENTINEL } from '../support/format-records.js';
import { diskBytes, type GoldenRepository, type GoldenSnapshot } from '../support/golden-disks.js';
import { projectRoot } from '../support/project.js';
import { Station } from '../support/vzvault.js';

const fixture = join(projectRoot, 'test/fixtures/format-1');
const expected = JSON.parse(readFileSync(join(fixture, 'expected.json'), 'utf8')) as GoldenRepository;

/** What of the program's JSON is looked at. */
interface Shown {
  readonly disks: readonly { readonly name: string; readonly sizeBytes: number }[];
}
interface Verified {
  readonly damages: readonly unknown[];
  readonly packs: number;
  readonly chunks: number;
  readonly snapshots: readonly unknown[];
}

function snapshotAt(index: number): GoldenSnapshot {
  const snapshot = expected.snapshots[index];
  assert.ok(snapshot);
  return snapshot;
}

describe('the golden repository of format 1, read with nothing but the page', () => {
  const repository = readRepository(join(fixture, 'vzvault'));

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
});

describe('the golden repository of format 1, read by the program', () => {
  function stationWithCopy(t: TestContext): Station {
    const station = Station.empty(t);
    cpSync(join(fixture, 'vzvault'), join(station.store, 'vzvault'), { recursive: true });
    return station;
  }

  const nameOf = ({ group, time }: GoldenSnapshot): string => `${group}@${time}`;
  const sizeOf = ({ disks, archive }: GoldenSnapshot): number =>
    disks.reduce((sum, { sizeBytes }) => sum + sizeBytes, archive?.data.sizeBytes ?? 0);

  it('is listed and shown', async (t) => {
    const station = stationWithCopy(t);
    const listed = await station.json<Record<string, unknown>[]>('list', station.store);
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
      const shown = await station.json<Shown>('show', station.store, nameOf(snapshot));
      const disks = shown.disks.map(({ name, sizeBytes }) => ({ name, sizeBytes }));
      assert.deepEqual(
        disks,
        snapshot.disks.map(({ name, sizeBytes }) => ({ name, sizeBytes })),
      );
      for (const [name, content] of Object.entries(snapshot.files)) {
        const { out } = await station.must('show', station.store, nameOf(snapshot), '--file', name);
        assert.equal(out, content);
      }
    }
  });

  it('is found intact', async (t) => {
    const station = stationWithCopy(t);
    const report = await station.json<Verified>('verify', station.store);
    const { packs } = readRepository(join(fixture, 'vzvault'));
    const chunks = [...packs.values()].reduce((sum, { entries }) => sum + entries.length, 0);
    assert.deepEqual(report.damages, []);
    assert.deepEqual([report.packs, report.chunks], [packs.size, chunks]);
    assert.deepEqual(
      report.snapshots,
      expected.snapshots.map((snapshot) => ({ snapshot: nameOf(snapshot), damages: [] })),
    );
  });

  it('has verify states as the page draws them once it was verified, and none before', async (t) => {
    const station = stationWithCopy(t);
    const copy = join(station.store, 'vzvault');
    const states = (): unknown[] => readRepository(copy).snapshots.map(({ verifyState }) => verifyState);
    assert.deepEqual(states(), [null, null, null]);
    await station.must('verify', station.store, nameOf(snapshotAt(0)));
    const [checked, ...others] = readRepository(copy).snapshots.map(({ verifyState }) => verifyState);
    assert.deepEqual([checked?.state, checked?.message, ...others], ['ok', '', null, null]);
    const listed = await station.json<Record<string, unknown>[]>('list', station.store);
    assert.deepEqual(
      listed.map(({ verifyState }) => verifyState),
      ['ok', 'none', 'none'],
    );
  });

  it('is restored byte for byte', async (t) => {
    const station = stationWithCopy(t);
    const copy = station.path('copy');
    for (const snapshot of expected.snapshots) {
      for (const { name, sha256: digest } of snapshot.disks) {
        await station.must('restore', station.store, nameOf(snapshot), '--disk', name, '--to', copy);
        assert.equal(sha256(readFileSync(copy)), digest, `${nameOf(snapshot)} ${name}`);
        rmSync(copy);
      }
    }
  });
});
