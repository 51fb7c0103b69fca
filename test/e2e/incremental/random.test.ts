/** A random life of a VM, compared with its history: SEED repeats one, STEPS makes it longer. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { noise } from '../../support/images.js';
import { bitmapNameOf } from '../../support/model-access.js';
import { assertNothingLeft } from '../../support/model-leftovers.js';
import { assertRead } from '../../support/model-lines.js';
import { RandomLife } from '../../support/model-random.js';
import { mechanisms } from '../../support/model-vzdump.js';
import { World } from '../../support/model-world.js';
import { SeededRandom } from '../../support/seeded-random.js';
import { cleanupsOf } from '../../support/temp.js';

const MIB = 1024 * 1024;

/** Of other sizes than granules, chunks and sectors of 4 KiB have; the last one smaller than a chunk. */
const disks = [
  { device: 'drive-scsi0', sizeBytes: 41 * MIB + 512, format: 'raw' },
  { device: 'drive-scsi1', sizeBytes: 24 * MIB, format: 'qcow2' },
  { device: 'drive-efidisk0', sizeBytes: 540_672, format: 'raw' },
] as const;

function fromEnvironment(name: string, otherwise: number): number {
  const text = process.env[name] ?? '';
  const value = text === '' ? otherwise : Number(text);
  assert.ok(Number.isSafeInteger(value) && value >= 0, `${name} is a number`);
  return value;
}

const steps = fromEnvironment('STEPS', 500);

test('every snapshot is the VM as it was', { timeout: 300_000 + 1_000 * steps }, async (t) => {
  const seed = fromEnvironment('SEED', Date.now() % 2 ** 32);
  console.log(`random life: SEED=${seed} STEPS=${steps}`);
  const world = await World.start(cleanupsOf(t), { mechanism: 'nbd', disks });
  const counts = await RandomLife.live(world, new SeededRandom(seed), steps);
  t.diagnostic(`${JSON.stringify(counts)}, seed ${seed}`);
  if (steps >= 100) assert.ok(counts.incremental > steps / 20, 'a good part of the backups were incremental');
  await assertNothingLeft(world);
});

for (const mechanism of mechanisms) {
  test(`canary: a bitmap that lacks one dirty granule is caught by the comparison (${mechanism})`, async (t) => {
    const world = await World.start(cleanupsOf(t), { mechanism, disks });
    const { vm } = world;
    const device = disks[0].device;
    await vm.write(device, 0, noise(20 * MIB, 1));
    await world.backup();
    await vm.write(device, 9 * MIB, noise(1, 2));
    await vm.qmp.execute('block-dirty-bitmap-clear', { node: vm.formatNode(device), name: bitmapNameOf('store') });
    await vm.write(device, 17 * MIB, noise(1, 3));
    const planted = await world.tryBackup();
    assertRead(planted, 'incremental');
    assert.ok(planted.isListed, 'nobody can know');
    await assert.rejects(world.compare(planted), /drive-scsi0 .* differs from 9437184 to 9437184: other bytes/);
  });
}
