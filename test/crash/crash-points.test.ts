/** The daemon dies at every named point of a backup and of a restore: what was committed is whole, the next backup and restore work. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { CRASH_POINTS, type CrashPoint } from '../../src/lib/crash-points.js';
import { noise } from '../support/images.js';
import { assertNothingLeft } from '../support/model-leftovers.js';
import { assertRead } from '../support/model-lines.js';
import { mechanisms } from '../support/model-vzdump.js';
import { World } from '../support/model-world.js';
import { projectRoot } from '../support/project.js';
import { cleanupsOf } from '../support/temp.js';

const MIB = 1024 * 1024;
const device = 'drive-scsi0';

/** Those of the native core, which all come before the snapshot. */
const nativePoints = ['pack-created', 'pack-synced', 'pack-published', 'segment-synced', 'segment-published'];
const firstOfRestore = CRASH_POINTS.indexOf('restore-begun');
const committed = CRASH_POINTS.indexOf('snapshot-committed');

const backupPoints: readonly string[] = [...nativePoints, ...CRASH_POINTS.slice(0, firstOfRestore)];
const restorePoints = CRASH_POINTS.slice(firstOfRestore);

function isCommitted(point: string): boolean {
  return CRASH_POINTS.indexOf(point as CrashPoint) >= committed;
}

/** A VM that has been backed up, and written to since; then a daemon that will die. */
async function setUp(world: World, point: string): Promise<void> {
  await world.vm.write(device, 0, noise(10 * MIB, 1));
  await world.backup();
  await world.vm.write(device, 7 * MIB, noise(5 * MIB, 2));
  await world.restartDaemon({ VZVAULT_CRASH_AT: point });
}

async function goesOn(world: World): Promise<void> {
  assert.equal(await world.daemon.program.ended, 'SIGKILL', 'the daemon died where it had to');
  await world.restartDaemon();
  await world.vm.write(device, 30 * MIB, noise(MIB, 3));
  const next = await world.backup();
  assertRead(next, 'incremental');
  await world.restore(next.volume);
  await world.verify();
  await assertNothingLeft(world);
}

test('the points of the native core are known here', () => {
  const header = readFileSync(join(projectRoot, 'native/core/base/crash_point.h'), 'utf8');
  const documented = [...header.matchAll(/^ +k\w+, +\/\/ ([a-z-]+):/gm)].map(([, name]) => name);
  assert.deepEqual(documented, nativePoints);
});

for (const [index, point] of backupPoints.entries()) {
  // Both ways to read a disk pass the same points.
  const mechanism = mechanisms[index % mechanisms.length]!;
  test(`a backup dies at ${point} (${mechanism})`, async (t) => {
    const world = await World.start(cleanupsOf(t), { mechanism });
    await setUp(world, point);
    const died = await world.tryBackup();
    // Keeping the log may fail in silence: the backup itself was over.
    if (point === 'log-kept') assert.equal(died.error, null);
    else assert.match(died.error ?? '', /E_CONNECTION_LOST|E_DAEMON_UNREACHABLE/);
    assert.equal(died.isListed, isCommitted(point));
    await goesOn(world);
  });
}

for (const point of restorePoints) {
  test(`a restore dies at ${point}`, async (t) => {
    const world = await World.start(cleanupsOf(t), { mechanism: 'nbd' });
    await setUp(world, point);
    const [volume] = world.history.of(world.storage.path).keys();
    const restoring = world.restore(volume!);
    // At the end PVE has its disks, and cleaning up does not fail a restore.
    if (point === 'restore-ending' || point === 'restore-ended') await restoring;
    else await assert.rejects(restoring, /restore failed: .*E_CONNECTION_LOST/);
    await goesOn(world);
  });
}
