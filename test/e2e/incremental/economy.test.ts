/** What an incremental backup costs, from counters: reading, repository and fleecing space follow what changed, not the size of the disk. */
import assert from 'node:assert/strict';
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { noise } from '../../support/images.js';
import { assertRead } from '../../support/model-lines.js';
import { run } from '../../support/model-run.js';
import { mechanisms } from '../../support/model-vzdump.js';
import { World } from '../../support/model-world.js';
import { until } from '../../support/processes.js';
import { cleanupsOf } from '../../support/temp.js';

const KIB = 1024;
const MIB = 1024 * KIB;
const GIB = 1024 * MIB;
const granule = 4 * MIB;
const chunk = 512 * KIB;
const device = 'drive-scsi0';

function bytesBelow(directory: string): number {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, entry) => sum + statSync(join(entry.parentPath, entry.name)).size, 0);
}

for (const mechanism of mechanisms) {
  // The first backup of a file handle reads every hole, which takes its time.
  const sizeBytes = mechanism === 'nbd' ? 64 * GIB : 8 * GIB;
  test(`${mechanism}: 16 MiB dirty of ${sizeBytes / GIB} GiB`, async (t) => {
    const disks = [{ device, sizeBytes, format: 'raw' }] as const;
    const world = await World.start(cleanupsOf(t), { mechanism, disks });
    const { vm } = world;
    for (const at of [0, 0.25, 0.75]) await vm.write(device, at * sizeBytes, noise(40 * MIB, 1 + at));
    const full = await world.tryBackup();
    assert.equal(full.error, null, full.log.join('\n'));

    // Four granules: one where there was nothing, one over old data, and two of the same bytes.
    for (const at of [GIB, sizeBytes / 4]) await vm.write(device, at, noise(granule, 2 + at / GIB));
    for (const at of [sizeBytes / 2, sizeBytes - granule]) await vm.write(device, at, noise(granule, 7));
    const before = bytesBelow(world.storage.path);
    const next = await world.tryBackup();
    assert.equal(next.error, null, next.log.join('\n'));
    assertRead(next, 'incremental');
    assert.equal(next.devices[0]!.dirtyBytes, 4 * granule);
    assert.equal(next.figures!.readBytes, 4 * granule, 'the dirty granules are read and nothing else');
    assert.equal(next.figures!.newBytes, 3 * granule);
    assert.equal(next.figures!.reusedBytes, granule);
    const grown = bytesBelow(world.storage.path) - before;
    assert.ok(grown <= next.figures!.newBytes + MIB, `the repository grew by ${grown} bytes`);
    assert.equal(next.addedBytes, next.figures!.addedBytes);

    // One byte changed: one chunk is new, the granule around it is only read.
    await vm.write(device, sizeBytes / 2 + 5, Buffer.from('x'));
    const small = await world.tryBackup();
    assertRead(small, 'incremental');
    assert.equal(small.figures!.readBytes, granule);
    assert.equal(small.figures!.newBytes, chunk);
    assert.ok(bytesBelow(world.storage.path) - before - grown <= chunk + MIB);

    const restored = join(world.directory, 'restored.raw');
    await world.vzvault.run('restore', world.storage.path, small.volume, '--disk', device, '--to', restored);
    await vm.stop();
    await run('qemu-img', 'compare', '-q', '-f', 'raw', '-F', 'raw', vm.disk(device).path, restored);
  });

  test(`${mechanism}: the fleecing image shrinks while the backup runs`, async (t) => {
    const disks = [{ device, sizeBytes: 256 * MIB, format: 'raw' }] as const;
    const world = await World.start(cleanupsOf(t), { mechanism, disks });
    const { vm } = world;
    await vm.write(device, 0, noise(200 * MIB, 1));
    let path = '';
    let fullBytes = 0;
    const allocatedBytes = (): number => 512 * statSync(path).blocks;
    await world.backup({
      // Slow enough to be watched: packs of 64 MiB end every second or so.
      bandwidthLimitBytesPerSecond: 60 * MIB,
      atOnce: async (access) => {
        path = access.fleecingPath(device);
        await vm.write(device, 0, noise(200 * MIB, 2));
        fullBytes = allocatedBytes();
      },
      during: async (running) => {
        await until('the guest has written', () => fullBytes > 0);
        assert.ok(fullBytes >= 200 * MIB, `all that the guest overwrites is copied, but ${fullBytes} bytes were`);
        await until('the image has shrunk by a pack', () => allocatedBytes() <= fullBytes - 50 * MIB);
        assert.ok(running.access !== null, 'the backup is running still');
      },
    });
    await world.verify();
  });
}
