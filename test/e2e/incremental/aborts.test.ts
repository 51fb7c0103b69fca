/** Backups that PVE, a signal or a hook script ends: what was committed stays, what was not is not there, the next one is whole. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { unfinishedFiles } from '../../support/model-leftovers.js';
import { backedUp, goesOn, slow, untilReading } from '../../support/model-scenes.js';
import { mechanisms, type RunningVzdump } from '../../support/model-vzdump.js';
import { World } from '../../support/model-world.js';
import { cleanupsOf } from '../../support/temp.js';

for (const mechanism of mechanisms) {
  for (const fault of ['fail-after-commit', 'fail-after-success', 'fail-after-cleanup'] as const) {
    test(`${mechanism}: ${fault}: the snapshot stays, and the bitmap counts from it`, async (t) => {
      const world = await World.start(cleanupsOf(t), { mechanism });
      await backedUp(world);
      const failed = await world.tryBackup({ fault });
      assert.match(failed.error ?? '', /failed|could not be restored/);
      assert.equal(failed.succeeded, fault !== 'fail-after-commit');
      assert.ok(failed.isListed);
      await goesOn(world, 'incremental');
    });
  }

  test(`${mechanism}: the job ends without a word after the commit`, async (t) => {
    const world = await World.start(cleanupsOf(t), { mechanism });
    await backedUp(world);
    const { isListed } = await world.tryBackup({ fault: 'vanish-after-commit' });
    assert.ok(isListed);
    await goesOn(world, 'incremental');
  });

  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    test(`${mechanism}: ${signal} while a drive is read`, async (t) => {
      const world = await World.start(cleanupsOf(t), { mechanism });
      await backedUp(world);
      const during = async (running: RunningVzdump): Promise<void> => {
        await untilReading(running);
        running.kill(signal);
      };
      const error = await world.failedBackup({ ...slow, during });
      assert.match(error, signal === 'SIGTERM' ? /interrupted by signal/ : /is gone/);
      assert.deepEqual(unfinishedFiles(world.storage.path), []);
      await goesOn(world, 'incremental');
    });
  }

  for (const point of ['query', 'vm', 'committed'] as const) {
    test(`${mechanism}: killed at the point ${point}`, async (t) => {
      const world = await World.start(cleanupsOf(t), { mechanism });
      await backedUp(world);
      const killed = await world.tryBackup({
        fault: `stop-at-${point}`,
        onReached: (running) => {
          running.kill('SIGKILL');
        },
      });
      assert.equal(killed.isListed, point === 'committed');
      await goesOn(world, 'incremental');
    });
  }
}

test('the same guest twice at once', async (t) => {
  const world = await World.start(cleanupsOf(t), { mechanism: 'nbd' });
  await backedUp(world);
  await world.backup({
    fault: 'stop-at-vm',
    onReached: async () => {
      assert.match(await world.failedBackup(), /E_GUEST_BUSY/);
    },
  });
  await goesOn(world, 'incremental');
});
