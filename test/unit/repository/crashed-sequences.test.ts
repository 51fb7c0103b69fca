/** Backups, what is kept beside snapshots, removals and collections that end at any change: nothing promised is lost, and the next ones succeed. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { PackUse } from '../../../src/engine/types.js';
import { formatSnapshotId } from '../../../src/lib/guest.js';
import { collectGarbage } from '../../../src/repository/collection/collector.js';
import type { Sharing } from '../../../src/repository/sessions/sharing.js';
import { crashAt, remains, type Crash, type Remains } from '../../support/crashing-disk.js';
import { documentOf, idOf, SECOND } from '../../support/documents.js';
import { FakeCollection } from '../../support/fake-collection.js';
import { PATH, SharingWorld } from '../../support/sharing-world.js';

const [old, kept, made, next] = [idOf(100), idOf(101), idOf(102), idOf(103)];
const [dead, moved, live] = ['a', 'b', 'd'].map((letter) => letter.repeat(64)) as [string, string, string];
const merged = '5'.repeat(64);
const victim = 7;

/** What a sequence was told to be done. */
type Promises = Set<'notes' | 'state' | 'removed' | 'committed' | 'collected'>;

async function setUp(): Promise<SharingWorld> {
  const world = await SharingWorld.create();
  const { repository, engine } = world;
  const { blobs, snapshots } = repository;
  for (const id of [old, kept]) await snapshots.commit(documentOf(id));
  for (const pack of [dead, moved, live]) await blobs.putIfAbsent(nameOf(pack), Buffer.from(pack));
  await blobs.putIfAbsent(`index/${merged}`, Buffer.from('a segment'));
  // Packs as they are on the disk; one is dead, one is mostly dead.
  const { garbage } = engine.store;
  const uses = [FakeCollection.pack('a', 0), FakeCollection.pack('b', 100), FakeCollection.pack('d', 900)];
  garbage.packs = async (): Promise<PackUse[]> => uses.filter(({ id }) => engine.disk.files.has(pathOf(id)));
  garbage.merged = { replaced: [merged], added: [] };
  return world;
}

const nameOf = (pack: string): string => `packs/${pack.slice(0, 2)}/${pack}`;
const pathOf = (pack: string): string => `${PATH}/vzvault/${nameOf(pack)}`;

async function sequence(world: SharingWorld, sharing: Sharing, promises: Promises): Promise<void> {
  const { snapshots } = world.repository;
  const session = await world.openWriter(sharing, made);
  await session.commit(() => snapshots.commit(documentOf(made)));
  promises.add('committed');
  await session.end();
  await snapshots.sidecars.setNotes(kept, 'new notes');
  promises.add('notes');
  await snapshots.sidecars.setVerifyState(kept, { state: 'ok', checkedAtSeconds: SECOND, message: '' });
  promises.add('state');
  await snapshots.remove(old);
  promises.add('removed');
  await collectGarbage(world.repository, world.collector({ sharing }));
  promises.add('collected');
}

async function assertKept(world: SharingWorld, promises: Promises): Promise<void> {
  const { snapshots } = world.repository;
  const listed = new Map((await snapshots.list()).map((entry) => [formatSnapshotId(entry.id), entry]));
  for (const { id, damage } of listed.values()) assert.equal(damage, null, formatSnapshotId(id));
  assert.ok(listed.has(formatSnapshotId(kept)));
  if (promises.has('committed')) assert.ok(listed.has(formatSnapshotId(made)));
  if (promises.has('removed')) assert.ok(!listed.has(formatSnapshotId(old)));
  const { notes, verified } = listed.get(formatSnapshotId(kept))!;
  if (promises.has('notes')) assert.equal(notes, 'new notes');
  else assert.ok(['', 'new notes'].includes(notes));
  if (promises.has('state')) assert.equal(verified?.state, 'ok');
  assert.ok(world.engine.disk.files.has(pathOf(live)));
}

/** Null where the sequence was over before. */
async function crashed(
  changeNumber: number,
  left: Remains,
  loses = (_path: string) => false,
): Promise<SharingWorld | null> {
  const world = await setUp();
  const promises: Promises = new Set();
  const sharing = world.sharing(victim);
  const crash: Crash = crashAt(world.engine.disk, changeNumber, left);
  const ran = await Promise.race([
    sequence(world, sharing, promises).then(() => 'over' as const),
    crash.happened.then(() => 'crashed' as const),
  ]);
  crash.restart();
  if (ran === 'over') return null;
  world.processes.end(victim);
  for (const path of world.engine.disk.files.keys()) if (loses(path)) world.engine.disk.files.delete(path);
  await assertKept(world, promises);
  return world;
}

async function goesOn(world: SharingWorld): Promise<void> {
  const { snapshots } = world.repository;
  const session = await world.openWriter(world.sharing(8), next);
  await session.commit(() => snapshots.commit(documentOf(next)));
  await session.end();
  // One that ends what was begun, and one that begins.
  for (let round = 0; round < 2; round += 1) await world.until(collectGarbage(world.repository, world.collector()));
  assert.deepEqual(world.names('sessions'), []);
  assert.deepEqual(
    world.names('condemned').filter((name) => !name.endsWith('.done')),
    [],
  );
  assert.deepEqual(world.names('packs'), [nameOf(live).slice('packs/'.length)]);
  await assertKept(world, new Set());
  assert.ok((await snapshots.ids()).some(({ vmid }) => vmid === next.vmid));
}

describe('a sequence of changes that ends at any of them', () => {
  for (const left of remains) {
    it(`leaves ${left} of the change that it ended at`, async (t) => {
      let changes = 0;
      for (;;) {
        const world = await crashed(changes, left);
        if (world === null) break;
        await goesOn(world);
        changes += 1;
      }
      t.diagnostic(`${changes} changes`);
      assert.ok(changes >= 15);
    });
  }

  it('would notice a storage that loses what it answered for', async () => {
    const isSnapshot = (path: string): boolean => path.endsWith('/snapshot');
    const { noticed, changes } = await crashEverywhere((path) => isSnapshot(path) && path.includes('/102/'));
    assert.ok(noticed > 0 && noticed < changes, `${noticed} of ${changes}`);
  });

  it('would notice a pack that is lost although it is used', async () => {
    const { noticed, changes } = await crashEverywhere((path) => path === pathOf(live));
    assert.equal(noticed, changes);
  });
});

/** With a storage that loses these files when it crashes. */
async function crashEverywhere(loses: (path: string) => boolean): Promise<{ noticed: number; changes: number }> {
  let noticed = 0;
  for (let changes = 0; ; changes += 1) {
    try {
      if ((await crashed(changes, 'nothing', loses)) === null) return { noticed, changes };
    } catch (error) {
      assert.ok(error instanceof assert.AssertionError, String(error));
      noticed += 1;
    }
  }
}
