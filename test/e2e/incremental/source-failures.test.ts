/** Sources of a backup that fail: QEMU, fleecing images, the processes that PVE puts in between. Never less is committed than changed. */
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { test } from 'node:test';
import { noise } from '../../support/images.js';
import { assertRead } from '../../support/model-lines.js';
import { backedUp, device, goesOn, slow, untilReading } from '../../support/model-scenes.js';
import { mechanisms } from '../../support/model-vzdump.js';
import { World } from '../../support/model-world.js';
import { freeze } from '../../support/processes.js';
import { cleanupsOf } from '../../support/temp.js';

const MIB = 1024 * 1024;

for (const mechanism of mechanisms) {
  test(`${mechanism}: QEMU is killed while a drive is read`, async (t) => {
    const world = await World.start(cleanupsOf(t), { mechanism });
    await backedUp(world);
    const error = await world.failedBackup({
      ...slow,
      during: async (running) => {
        await untilReading(running);
        await world.vm.kill();
      },
    });
    assert.match(error, /E_SOURCE_(READ|BITMAP)/);
    await world.vm.start();
    await goesOn(world, /QEMU runs anew/);
  });

  test(`${mechanism}: QEMU stalls while a drive is read`, async (t) => {
    const world = await World.start(cleanupsOf(t), { mechanism, daemonEnv: { VZVAULT_STALL_TIMEOUT_SECONDS: '1' } });
    await backedUp(world);
    const error = await world.failedBackup({
      ...slow,
      during: async (running) => {
        await untilReading(running);
        const { child, pid } = world.vm.program;
        await freeze(pid);
        // Longer than the daemon waits: PVE cannot end the access before QEMU answers.
        await sleep(4_000);
        child.kill('SIGCONT');
      },
    });
    assert.match(error, /E_SOURCE_STALLED/);
    await goesOn(world, 'incremental');
  });

  test(`${mechanism}: the fleecing image is full`, async (t) => {
    const cleanups = cleanupsOf(t);
    const world = await World.start(cleanups, { mechanism });
    await backedUp(world);
    const fleecingDirectory = join(world.directory, 'fleecing');
    mkdirSync(fleecingDirectory);
    cleanups.tmpfs(fleecingDirectory, 2 * MIB);
    const error = await world.failedBackup({
      fleecingDirectory,
      atOnce: () => world.vm.write(device, 0, noise(20 * MIB, 50)),
    });
    assert.match(error, /E_SOURCE_READ/);
    await goesOn(world, 'incremental');
  });

  test(`${mechanism}: QEMU does not say how much is dirty`, async (t) => {
    const world = await World.start(cleanupsOf(t), { mechanism });
    await backedUp(world);
    if (mechanism === 'nbd') {
      assertRead(await world.backup({ fault: 'no-count' }), 'incremental');
      return;
    }
    assert.match(await world.failedBackup({ fault: 'no-count' }), /E_SOURCE_BITMAP/);
    await goesOn(world, /no earlier backup/);
  });
}

for (const fault of ['nbdinfo-killed', 'regions-cut'] as const) {
  test(`file-handle: ${fault}: a list of dirty regions that ends early is never taken for a whole one`, async (t) => {
    const world = await World.start(cleanupsOf(t), { mechanism: 'file-handle' });
    await backedUp(world);
    assert.match(await world.failedBackup({ fault }), /E_SOURCE_BITMAP/);
    await goesOn(world, /no earlier backup/);
  });
}

test('file-handle: nbdfuse is killed', async (t) => {
  const world = await World.start(cleanupsOf(t), { mechanism: 'file-handle' });
  await backedUp(world);
  assert.match(await world.failedBackup({ fault: 'nbdfuse-killed' }), /E_SOURCE_/);
  await goesOn(world, 'incremental');
});
