/** Repositories that are full, or written by two nodes at once. */
import assert from 'node:assert/strict';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { noise } from '../../support/images.js';
import { unfinishedFiles } from '../../support/model-leftovers.js';
import { assertRead } from '../../support/model-lines.js';
import { device } from '../../support/model-scenes.js';
import { World } from '../../support/model-world.js';
import { cleanupsOf } from '../../support/temp.js';

const MIB = 1024 * 1024;

test('the repository is full', async (t) => {
  const cleanups = cleanupsOf(t);
  const world = await World.start(cleanups, { mechanism: 'nbd' });
  const storage = { id: 'small', path: join(world.directory, 'small') };
  mkdirSync(storage.path);
  cleanups.tmpfs(storage.path, 40 * MIB);
  cleanups.add(() => world.direct.close());
  await world.addStorage(storage);
  await world.vm.write(device, 0, noise(18 * MIB, 1));
  await world.backup({ storage });
  await world.vm.write(device, 0, noise(18 * MIB, 2));
  const ballast = join(storage.path, 'ballast');
  writeFileSync(ballast, Buffer.alloc(12 * MIB));
  assert.match(await world.failedBackup({ storage }), /E_NO_SPACE/);
  assert.deepEqual(unfinishedFiles(storage.path), []);
  rmSync(ballast);
  assertRead(await world.backup({ storage }), 'incremental');
  await world.verify(storage);
});

test('two nodes back their guests up into one repository at once', async (t) => {
  const cleanups = cleanupsOf(t);
  const nodes = [
    await World.start(cleanups, { mechanism: 'nbd', vmid: 100 }),
    await World.start(cleanups, { mechanism: 'file-handle', vmid: 101 }),
  ];
  const { storage, vzvault } = nodes[0]!;
  for (let round = 0; round < 3; round += 1) {
    const backups = nodes.map(async (world, index) => {
      // Half of it the same on both.
      await world.vm.write(device, round * 5 * MIB, noise(2 * MIB, round));
      await world.vm.write(device, round * 5 * MIB + 2 * MIB, noise(2 * MIB, 10 * index + round));
      assertRead(await world.backup({ storage }), round === 0 ? /no earlier backup/ : 'incremental');
    });
    await Promise.all(backups);
  }
  for (const world of nodes) {
    for (const volume of world.history.of(storage.path).keys()) {
      await world.history.compare(world.direct, storage.path, volume);
    }
  }
  await vzvault.run('verify', storage.path);
});
