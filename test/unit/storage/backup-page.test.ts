import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { SnapshotId } from '../../../src/lib/guest.js';
import { storageLimits } from '../../../src/lib/limits.js';
import type { SnapshotEntry } from '../../../src/repository/snapshots.js';
import { readBackupPage } from '../../../src/storage/backup-page.js';
import { idOf, SECOND } from '../../support/documents.js';
import { ManualClock } from '../../support/manual-clock.js';

/** A repository on a mount that takes `batchMs` for each batch; the ids in `remains` are no snapshots any more. */
function slowSnapshots(
  count: number,
  batchMs: number,
  remains = 0,
): { clock: ManualClock; snapshots: Parameters<typeof readBackupPage>[0]; looked: number[] } {
  const clock = new ManualClock();
  const looked: number[] = [];
  const ids = Array.from({ length: count }, (_, index) => idOf(100, SECOND + index));
  const entryOf = (id: SnapshotId): SnapshotEntry => ({
    ...{
      id,
      summary: null,
      damage: 'not of interest here',
      notes: '',
      protected: false,
      hasLog: false,
      verified: null,
    },
  });
  return {
    clock,
    looked,
    snapshots: {
      ids: async () => [...ids].reverse(),
      entries: async (wanted) => {
        looked.push(wanted.length);
        clock.advance(batchMs);
        return wanted.filter((id) => id.timeSeconds >= SECOND + remains).map(entryOf);
      },
    },
  };
}

async function readAll(world: ReturnType<typeof slowSnapshots>): Promise<{ volumes: string[]; pages: number }> {
  const volumes: string[] = [];
  for (let pages = 1; ; pages += 1) {
    const page = await readBackupPage(world.snapshots, {}, volumes.at(-1) ?? '', world.clock);
    volumes.push(...page.backups.map((backup) => backup.volume));
    if (!page.more) return { volumes, pages };
    assert.ok(page.backups.length > 0, 'a page that is not the last has something to go on behind');
  }
}

describe('a page of backups', () => {
  it('ends in time on a slow mount, and the next ones bring the rest', async () => {
    const count = 10 * storageLimits.listBatch + 1;
    const world = slowSnapshots(count, storageLimits.listMs / 2);
    const { volumes, pages } = await readAll(world);
    assert.equal(volumes.length, count);
    assert.deepEqual(volumes, [...new Set(volumes)].sort());
    assert.equal(pages, 6, 'two batches each');
  });

  it('is the only one on a fast mount', async () => {
    const world = slowSnapshots(10 * storageLimits.listBatch, 1);
    const { volumes, pages } = await readAll(world);
    assert.deepEqual([volumes.length, pages], [10 * storageLimits.listBatch, 1]);
  });

  it('goes on past the remains of removed snapshots, however long that takes', async () => {
    const remains = 3 * storageLimits.listBatch;
    const world = slowSnapshots(remains + 1, storageLimits.listMs, remains);
    const { volumes, pages } = await readAll(world);
    assert.deepEqual([volumes.length, pages], [1, 1]);
  });

  it('is read no further than it may be long', async () => {
    const world = slowSnapshots(20_000, 0);
    const page = await readBackupPage(world.snapshots, {}, '', world.clock);
    assert.deepEqual([page.backups.length, page.more], [10_000, true]);
    assert.ok(world.looked.length <= Math.ceil(10_001 / storageLimits.listBatch));
  });

  it('of nothing is empty and the last', async () => {
    const world = slowSnapshots(0, 0);
    assert.deepEqual(await readBackupPage(world.snapshots, {}, '', world.clock), { backups: [], more: false });
  });
});
