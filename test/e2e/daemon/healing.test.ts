/** Damage that the command line finds beside a running daemon: told in the next listing, never built upon, and mended by the next backup that can. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { DaemonClient } from '../../../src/rpc/client.js';
import { storageAt } from '../../support/daemon.js';
import { noise } from '../../support/images.js';
import { assertNothingLeft } from '../../support/model-leftovers.js';
import { assertRead } from '../../support/model-lines.js';
import { mechanisms } from '../../support/model-vzdump.js';
import { World } from '../../support/model-world.js';
import { cleanupsOf } from '../../support/temp.js';
import { runVzvault } from '../../support/vzvault.js';

const MIB = 1024 * 1024;
const device = 'drive-scsi0';

/** Of all backups, oldest first, as the daemon lists them and as it tells of each. */
async function statesOf(client: DaemonClient, world: World): Promise<string[]> {
  const storage = storageAt(world.storage.path, world.storage.id);
  const { backups } = await client.call('storage.list', { storage });
  for (const { volume, verifyState } of backups) {
    assert.equal((await client.call('storage.info', { storage, volume })).verifyState, verifyState);
  }
  return backups.map(({ verifyState }) => verifyState);
}

/** Verifies, without waiting for directories that other machines may see late: there are none. Answers how it ended. */
async function verify(world: World): Promise<number> {
  const environment = { ...world.daemon.environment, VZVAULT_CACHE_DIR: `${world.directory}/cli-cache` };
  return (await runVzvault(environment, ['verify', world.storage.path, '--grace', '0'])).code;
}

for (const mechanism of mechanisms) {
  test(`${mechanism}: the next backup is full, stores what is missing, and the marks go`, async (t) => {
    const world = await World.start(cleanupsOf(t), { mechanism });
    const client = await world.daemon.connect();
    await world.vm.write(device, 0, noise(10 * MIB, 1));
    const first = await world.backup();
    world.damageNewestPack();
    await world.vm.write(device, 20 * MIB, noise(MIB, 2));
    // Nobody knows of the damage yet.
    const second = await world.tryBackup();
    assertRead(second, 'incremental');
    assert.deepEqual(await statesOf(client, world), ['none', 'none']);

    assert.equal(await verify(world), 3);
    assert.deepEqual(await statesOf(client, world), ['damaged', 'damaged']);
    await world.vm.write(device, 30 * MIB, noise(MIB, 3));
    const third = await world.backup();
    assertRead(third, /the last backup was found damaged/);
    assert.deepEqual(await statesOf(client, world), ['ok', 'ok', 'none']);
    for (const { volume } of [first, second, third]) await world.restore(volume);
    assertRead(await world.backup(), 'incremental');
    assert.equal(await verify(world), 0);
    assert.deepEqual(await statesOf(client, world), ['ok', 'ok', 'ok', 'ok']);
    await world.verify();
    await assertNothingLeft(world);
  });
}

test('what the guest does not have any more stays missing and marked; new backups build on each other', async (t) => {
  const world = await World.start(cleanupsOf(t), { mechanism: 'nbd' });
  const client = await world.daemon.connect();
  await world.vm.write(device, 0, noise(10 * MIB, 1));
  const { volume } = await world.backup();
  world.damageNewestPack();
  assert.equal(await verify(world), 3);
  await world.vm.write(device, 0, noise(10 * MIB, 2));
  assertRead(await world.backup(), /the last backup was found damaged/);
  await world.vm.write(device, 30 * MIB, noise(MIB, 3));
  assertRead(await world.backup(), 'incremental');
  assert.deepEqual(await statesOf(client, world), ['damaged', 'none', 'none']);
  await assert.rejects(world.restore(volume));
  await world.forget(volume);
  assert.equal(await verify(world), 0);
  assert.deepEqual(await statesOf(client, world), ['ok', 'ok']);
});
