/** What happens to a VM between two backups, and whether its bitmaps are believed then. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { noise } from '../../support/images.js';
import { bitmapNameOf } from '../../support/model-access.js';
import { KeptBitmap } from '../../support/model-bitmaps.js';
import { assertNothingLeft } from '../../support/model-leftovers.js';
import { assertRead, howRead } from '../../support/model-lines.js';
import { mechanisms } from '../../support/model-vzdump.js';
import { defaultDisks, World } from '../../support/model-world.js';
import { cleanupsOf } from '../../support/temp.js';

const MIB = 1024 * 1024;
const [first, second, third] = ['drive-scsi0', 'drive-scsi1', 'drive-scsi2'] as const;

/** A VM that has been backed up, and written to since. */
async function backedUp(world: World): Promise<void> {
  await world.vm.write(first, 0, noise(10 * MIB, 1));
  await world.vm.write(second, MIB, noise(MIB, 2));
  await world.backup();
  await world.vm.write(first, 9 * MIB, noise(MIB, 3));
}

for (const mechanism of mechanisms) {
  test(`${mechanism}: power cycle`, async (t) => {
    const world = await World.start(cleanupsOf(t), { mechanism });
    await backedUp(world);
    await world.vm.powerCycle();
    await world.vm.write(first, 20 * MIB, noise(MIB, 4));
    assertRead(await world.backup(), /QEMU runs anew/);
    assertRead(await world.backup(), 'incremental');
    await world.verify();
    await assertNothingLeft(world);
  });

  test(`${mechanism}: a disk grows`, async (t) => {
    const world = await World.start(cleanupsOf(t), { mechanism });
    const { vm } = world;
    await backedUp(world);
    await vm.growDisk(first, 57 * MIB + 1024);
    await vm.write(first, 57 * MIB, noise(1024, 5));
    const { [first]: grown, [second]: other } = howRead(await world.backup());
    assert.match(grown!, /another size/);
    assert.equal(other, 'incremental');
    await vm.write(first, 50 * MIB, noise(MIB, 6));
    assertRead(await world.backup(), 'incremental');
    await world.verify();
  });
}

test('QEMU is killed and started again', async (t) => {
  const world = await World.start(cleanupsOf(t), { mechanism: 'nbd' });
  await backedUp(world);
  await world.vm.kill();
  await world.vm.start();
  assertRead(await world.backup(), /QEMU runs anew/);
  await world.verify();
});

test('a disk is added, and removed again', async (t) => {
  const world = await World.start(cleanupsOf(t), { mechanism: 'nbd' });
  const { vm } = world;
  await backedUp(world);
  await vm.addDisk({ device: third, sizeBytes: 9 * MIB, format: 'raw' });
  await vm.write(third, 0, noise(MIB, 7));
  const { [third]: added, ...others } = howRead(await world.backup());
  assert.match(added!, /was not in the last backup/);
  assert.deepEqual(Object.values(others), ['incremental', 'incremental']);
  await vm.detachDisk(third);
  assertRead(await world.backup(), 'incremental');
  await world.verify();
});

test('TPM state is read whole each time', async (t) => {
  const world = await World.start(cleanupsOf(t), { mechanism: 'nbd' });
  const tpm = 'drive-tpmstate0-backup';
  await world.vm.addDisk({ device: tpm, sizeBytes: 4 * MIB, format: 'raw' });
  await backedUp(world);
  const backup = await world.backup();
  assert.equal(backup.modes?.[tpm], 'new');
  const { [tpm]: state, ...others } = howRead(backup);
  assert.match(state!, /TPM state is always read whole/);
  assert.deepEqual(Object.values(others), ['incremental', 'incremental']);
  await world.verify();
});

test('a disk is away during a backup, and comes back', async (t) => {
  const world = await World.start(cleanupsOf(t), { mechanism: 'nbd' });
  const { vm } = world;
  await backedUp(world);
  const away = await vm.detachDisk(second);
  await world.backup();
  await vm.attachDisk(away);
  await vm.write(second, 5 * MIB, noise(MIB, 8));
  assert.match(howRead(await world.backup())[second]!, /was not in the last backup/);
  assertRead(await world.backup(), 'incremental');
  await world.verify();
});

test('a disk is detached and attached again between two backups', async (t) => {
  const world = await World.start(cleanupsOf(t), { mechanism: 'nbd' });
  const { vm } = world;
  await backedUp(world);
  await vm.attachDisk(await vm.detachDisk(second));
  const backup = await world.backup();
  assert.equal(backup.modes?.[second], 'use', 'all is proved');
  assert.match(howRead(backup)[second]!, /bitmap is gone/);
  assert.equal(howRead(backup)[first], 'incremental');
  await world.verify();
});

test('another disk of the same size comes in the place of one', async (t) => {
  const world = await World.start(cleanupsOf(t), { mechanism: 'nbd' });
  const { vm } = world;
  await backedUp(world);
  const { sizeBytes, format } = await vm.detachDisk(second);
  await vm.addDisk({ device: second, sizeBytes, format });
  await vm.write(second, 3 * MIB, noise(100, 9));
  assert.match(howRead(await world.backup())[second]!, /bitmap is gone/);
  await world.verify();
});

test('a disk moves to another storage', async (t) => {
  const world = await World.start(cleanupsOf(t), { mechanism: 'nbd' });
  const { vm } = world;
  await backedUp(world);
  for (const device of [first, second]) await vm.moveDisk(device);
  await vm.write(first, 30 * MIB, noise(MIB, 10));
  assertRead(await world.backup(), /bitmap is gone/);
  assertRead(await world.backup(), 'incremental');
  await world.verify();
});

test('a rolled back memory brings its old bitmaps back', async (t) => {
  const world = await World.start(cleanupsOf(t), { mechanism: 'nbd' });
  const { vm } = world;
  await backedUp(world);
  const devices = [first, second];
  const bitmaps = await Promise.all(devices.map((device) => KeptBitmap.of(vm, device, bitmapNameOf('store'))));
  const moments = devices.map((device) => vm.disk(device).image.freeze());
  const restoreDisks = await vm.keepDisks();

  // What the old bitmaps know nothing of, in a snapshot that is the newest.
  await vm.write(first, 30 * MIB, noise(2 * MIB, 11));
  await vm.write(second, 0, noise(MIB, 12));
  assertRead(await world.backup(), 'incremental');

  await vm.stop();
  await restoreDisks();
  devices.forEach((device, index) => vm.disk(device).image.rollBack(moments[index]!));
  await vm.start();
  for (const bitmap of bitmaps) await bitmap!.bringBack(vm);
  await vm.write(second, 12 * MIB, noise(MIB, 13));
  const backup = await world.backup();
  assertRead(backup, /QEMU runs anew/);
  assert.deepEqual(
    backup.devices.map(({ action }) => action),
    ['new', 'new'],
    'the old bitmaps are thrown away',
  );
  assertRead(await world.backup(), 'incremental');
  await world.verify();
});

test('a VM is destroyed and made anew under the same id', async (t) => {
  const world = await World.start(cleanupsOf(t), { mechanism: 'nbd' });
  await backedUp(world);
  await world.vm.stop();
  await world.recreateVm(defaultDisks);
  await world.vm.write(first, 2 * MIB, noise(MIB, 14));
  assertRead(await world.backup(), /QEMU runs anew/);
  assertRead(await world.backup(), 'incremental');
  await world.verify();
});

test('the daemon is killed and started between two backups: what it knew is still proof', async (t) => {
  const world = await World.start(cleanupsOf(t), { mechanism: 'nbd' });
  await backedUp(world);
  await world.restartDaemon();
  assertRead(await world.backup(), 'incremental');
  await world.verify();
});
