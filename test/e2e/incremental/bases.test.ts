/** The snapshot that a bitmap counts from is gone, damaged, elsewhere or another: found out, and everything is read. */
import assert from 'node:assert/strict';
import { renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { noise } from '../../support/images.js';
import { assertNothingLeft } from '../../support/model-leftovers.js';
import { assertRead } from '../../support/model-lines.js';
import { run } from '../../support/model-run.js';
import { World } from '../../support/model-world.js';
import { mechanisms } from '../../support/model-vzdump.js';
import { cleanupsOf } from '../../support/temp.js';

const MIB = 1024 * 1024;
const device = 'drive-scsi0';

/** A world whose VM has been backed up twice, the second time incrementally. */
async function backedUpTwice(world: World): Promise<string[]> {
  await world.vm.write(device, 0, noise(10 * MIB, 1));
  const { volume } = await world.backup();
  await world.vm.write(device, 9 * MIB, noise(MIB, 2));
  const next = await world.backup();
  assertRead(next, 'incremental');
  await world.vm.write(device, 20 * MIB, noise(MIB, 3));
  return [volume, next.volume];
}

for (const mechanism of mechanisms) {
  test(`${mechanism}: the newest snapshot was forgotten`, async (t) => {
    const world = await World.start(cleanupsOf(t), { mechanism });
    const [, newest] = await backedUpTwice(world);
    await world.forget(newest!);
    const full = await world.backup();
    assertRead(full, /not in the repository any more/);
    assert.ok(full.figures.newBytes <= 3 * MIB, 'unchanged data is not stored again');
    assertRead(await world.backup(), 'incremental');
    await world.verify();
    await assertNothingLeft(world);
  });
}

test('the newest snapshot is forgotten while a backup builds on it', async (t) => {
  const world = await World.start(cleanupsOf(t), { mechanism: 'nbd' });
  const [, newest] = await backedUpTwice(world);
  const backup = await world.backup({ fault: 'stop-at-vm', onReached: () => world.forget(newest!) });
  assertRead(backup, 'incremental');
  assertRead(await world.backup(), /no earlier backup/);
  assertRead(await world.backup(), 'incremental');
  await world.verify();
});

test('an older snapshot was forgotten: nothing is lost', async (t) => {
  const world = await World.start(cleanupsOf(t), { mechanism: 'nbd' });
  const [older] = await backedUpTwice(world);
  await world.forget(older!);
  assertRead(await world.backup(), 'incremental');
  await world.verify();
});

test('all snapshots were forgotten', async (t) => {
  const world = await World.start(cleanupsOf(t), { mechanism: 'nbd' });
  for (const volume of await backedUpTwice(world)) await world.forget(volume);
  assertRead(await world.backup(), /not in the repository any more/);
  assertRead(await world.backup(), 'incremental');
  await world.verify();
});

test('the storage leads to another repository for a while', async (t) => {
  const world = await World.start(cleanupsOf(t), { mechanism: 'nbd' });
  const elsewhere = { id: world.storage.id, path: join(world.directory, 'elsewhere') };
  await world.addStorage(elsewhere);
  await backedUpTwice(world);
  assertRead(await world.backup({ storage: elsewhere }), /another repository/);
  await world.vm.write(device, 30 * MIB, noise(MIB, 4));
  assertRead(await world.backup({ storage: elsewhere }), 'incremental');
  await world.vm.write(device, 31 * MIB, noise(MIB, 5));
  assertRead(await world.backup(), /another repository/);
  assertRead(await world.backup(), 'incremental');
  await world.verify();
  await world.verify(elsewhere);
});

test('the repository was restored from an older copy while the VM ran on', async (t) => {
  const world = await World.start(cleanupsOf(t), { mechanism: 'nbd' });
  await world.vm.write(device, 0, noise(10 * MIB, 1));
  await world.backup();
  const copy = join(world.directory, 'copy');
  await run('cp', '-a', world.storage.path, copy);
  world.history.copy(world.storage.path, copy);
  await world.vm.write(device, 9 * MIB, noise(MIB, 2));
  assertRead(await world.backup(), 'incremental');
  await world.vm.write(device, 20 * MIB, noise(MIB, 3));

  await world.direct.close();
  rmSync(world.storage.path, { recursive: true });
  renameSync(copy, world.storage.path);
  world.history.copy(copy, world.storage.path);
  assertRead(await world.backup(), /not in the repository any more/);
  assertRead(await world.backup(), 'incremental');
  await world.verify();
  await assertNothingLeft(world);
});

test('a copy of the repository went its own way under the same id', async (t) => {
  const world = await World.start(cleanupsOf(t), { mechanism: 'nbd' });
  await world.vm.write(device, 0, noise(10 * MIB, 1));
  await world.backup();
  const copy = { id: world.storage.id, path: join(world.directory, 'copy') };
  await run('cp', '-a', world.storage.path, copy.path);
  world.history.copy(world.storage.path, copy.path);
  for (let round = 0; round < 3; round += 1) {
    for (const storage of [world.storage, copy]) {
      await world.vm.write(device, round * 3 * MIB, noise(MIB, 10 + round));
      const backup = await world.backup({ storage });
      // The first goes on from the backup before the copy was made.
      if (round === 0 && storage === world.storage) assertRead(backup, 'incremental');
      else assertRead(backup, /not in the repository any more/);
    }
  }
  await world.verify();
  await world.verify(copy);
});

test('two storage ids of one repository each have bitmaps of their own', async (t) => {
  const world = await World.start(cleanupsOf(t), { mechanism: 'nbd' });
  const other = { id: 'other', path: world.storage.path };
  await world.vm.write(device, 0, noise(10 * MIB, 1));
  for (let round = 0; round < 3; round += 1) {
    for (const storage of [world.storage, other]) {
      await world.vm.write(device, (2 * round + (storage === other ? 1 : 0)) * 5 * MIB, noise(MIB, 20 + round));
      assertRead(await world.backup({ storage }), round === 0 ? /no earlier backup/ : 'incremental');
    }
  }
  await world.verify();
});

test('a snapshot that verify found damaged is no base', async (t) => {
  const world = await World.start(cleanupsOf(t), { mechanism: 'nbd' });
  await world.vm.write(device, 0, noise(3 * MIB, 1));
  await world.backup();
  await world.vm.write(device, 12 * MIB, noise(3 * MIB, 2));
  const { volume } = await world.backup();
  world.damageNewestPack();
  await assert.rejects(world.vzvault.run('verify', world.storage.path, '--grace', '0'));
  const after = await world.tryBackup();
  assert.equal(after.error, null, after.log.join('\n'));
  assertRead(after, /found damaged/);
  await world.forget(volume);
});
