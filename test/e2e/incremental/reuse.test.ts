/** What an incremental backup reads and holds, with both mechanisms. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { noise } from '../../support/images.js';
import { canZeroDuringAccess } from '../../support/model-access.js';
import { assertNothingLeft, unfinishedFiles } from '../../support/model-leftovers.js';
import { assertRead } from '../../support/model-lines.js';
import { mechanisms } from '../../support/model-vzdump.js';
import { World } from '../../support/model-world.js';
import { cleanupsOf } from '../../support/temp.js';

const MIB = 1024 * 1024;
const granule = 4 * MIB;
const [first, second] = ['drive-scsi0', 'drive-scsi1'] as const;

for (const mechanism of mechanisms) {
  test(`${mechanism}: the first backup is full, the next read what is dirty and nothing else`, async (t) => {
    const world = await World.start(cleanupsOf(t), { mechanism });
    const { vm } = world;
    await vm.write(first, 100, noise(9 * MIB, 1));
    await vm.write(second, vm.disk(second).sizeBytes - 300, noise(300, 2));
    const full = await world.backup();
    assertRead(full, /no earlier backup/);
    assert.ok(full.figures.readBytes >= 9 * MIB);

    // A whole granule, a chunk over a border of two, and the clipped last one.
    await vm.write(first, 2 * granule, noise(granule, 3));
    await vm.write(first, 6 * granule - 512, noise(1024, 4));
    await vm.write(second, vm.disk(second).sizeBytes - 1, noise(1, 5));
    const next = await world.backup();
    assertRead(next, 'incremental');
    const dirty = next.devices.reduce((sum, { dirtyBytes }) => sum + dirtyBytes, 0);
    assert.equal(dirty, 4 * granule, 'QEMU counts whole granules');
    assert.ok(next.figures.readBytes >= granule && next.figures.readBytes <= dirty, `read ${next.figures.readBytes}`);
    assert.ok(next.figures.newBytes <= granule + 3 * 512 * 1024, `new ${next.figures.newBytes}`);

    const log = await world.vzvault.run('show', world.storage.path, next.volume, '--log');
    assert.match(log, /Starting Backup of VM 100 \(qemu\)\n[^]*drive-scsi0: .* mode incremental/);

    const idle = await world.backup();
    assertRead(idle, 'incremental');
    assert.equal(idle.figures.readBytes, 0);
    assert.equal(idle.figures.newBytes, 0);
    assert.deepEqual(unfinishedFiles(world.storage.path), []);
    await world.verify();
    await assertNothingLeft(world);
  });

  test(`${mechanism}: a granule that became zero is zero in the next snapshot`, async (t) => {
    const world = await World.start(cleanupsOf(t), { mechanism });
    const { vm } = world;
    await vm.write(first, 0, noise(20 * MIB, 6));
    await vm.write(second, 0, noise(9 * MIB, 7));
    await world.backup();
    await vm.write(first, granule, Buffer.alloc(granule));
    await vm.discard(first, 3 * granule, granule);
    await vm.discard(second, 0, 8 * MIB);
    assertRead(await world.backup(), 'incremental');
    await vm.write(first, granule + 5, Buffer.from('back'));
    assertRead(await world.backup(), 'incremental');
    await world.verify();
  });

  test(`${mechanism}: what the guest writes during a backup shows in the next one`, async (t) => {
    const world = await World.start(cleanupsOf(t), { mechanism });
    const { vm } = world;
    await vm.write(first, 0, noise(30 * MIB, 8));
    for (let round = 0; round < 3; round += 1) {
      await vm.write(second, round * MIB, noise(MIB, 20 + round));
      const backup = await world.backup({
        atOnce: async () => {
          await vm.write(first, 3 * MIB, noise(6 * MIB, 30 + round));
          if (await canZeroDuringAccess()) await vm.discard(second, round * MIB, 64 * 1024);
        },
        during: async (running) => {
          for (let write = 0; write < 8; write += 1) await vm.write(first, write * 3 * MIB, noise(1000, write + round));
          await running.ended;
        },
      });
      assertRead(backup, round === 0 ? /no earlier backup/ : 'incremental');
    }
    assertRead(await world.backup(), 'incremental');
    await world.verify();
  });

  test(`${mechanism}: each snapshot is complete by itself`, async (t) => {
    const world = await World.start(cleanupsOf(t), { mechanism });
    const { vm } = world;
    await vm.write(first, 0, noise(12 * MIB, 9));
    const volumes: string[] = [];
    for (let round = 0; round < 4; round += 1) {
      await vm.write(first, round * granule, noise(MIB, 40 + round));
      volumes.push((await world.backup()).volume);
    }
    // All but the newest, so that no map has its base.
    for (const volume of volumes.slice(0, -1)) await world.forget(volume);
    await world.verify();
    assertRead(await world.backup(), 'incremental');
    await world.verify();
  });
}
