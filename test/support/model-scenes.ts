/** What tests of failing backups have in common: before, in the middle, after. */
import type { DiskOptions } from './model-vm.js';
import { noise } from './images.js';
import { assertNothingLeft } from './model-leftovers.js';
import { assertRead } from './model-lines.js';
import type { RunningVzdump } from './model-vzdump.js';
import { defaultDisks, type World } from './model-world.js';
import { until } from './processes.js';

const MIB = 1024 * 1024;
const granule = 4 * MIB;
/** The first of the disks that a world has where none are named. */
export const device = (defaultDisks[0] as DiskOptions).device;

/** A VM that has been backed up, and written to since in four granules. */
export async function backedUp(world: World): Promise<void> {
  await world.vm.write(device, 0, noise(18 * MIB, 1));
  await world.backup();
  for (let at = 0; at < 4; at += 1) await world.vm.write(device, 2 * at * granule, noise(granule, 10 + at));
}

/** A backup that takes seconds. */
export const slow = { bandwidthLimitBytesPerSecond: 2 * MIB } as const;

/** A drive is being read. */
export async function untilReading({ log }: RunningVzdump): Promise<void> {
  await until('a drive is read', () => log.some((line) => /, mode (full|incremental)/.test(line)));
}

/** After a failure: the next backup is as it has to be, every snapshot is what it was, and nothing is left of the failure. */
export async function goesOn(world: World, how: 'incremental' | RegExp): Promise<void> {
  await world.vm.write(device, 13 * MIB, noise(1000, 99));
  assertRead(await world.backup(), how);
  assertRead(await world.backup(), 'incremental');
  await world.verify();
  await assertNothingLeft(world);
}
