/** What is mounted or restored stays, although its backup is removed and the garbage collected. */
import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { promisify } from 'node:util';
import { storageAt, TestDaemon } from '../../support/daemon.js';
import { assertSameBytes, makeImage } from '../../support/images.js';
import { makeProgramsQuick } from '../../support/quick-programs.js';
import { assertNoLeftovers, DEVICE, packsOf, eventually } from '../../support/shared-repository.js';
import { Station } from '../../support/vzvault.js';

const MIB = 1024 * 1024;
const run = promisify(execFile);

makeProgramsQuick();

interface Stage {
  readonly station: Station;
  readonly disk: string;
}

/** Two snapshots: one of a disk, and one of another that has a tenth of its data, so that what is left of the first is packed anew. */
async function setUp(t: TestContext): Promise<Stage> {
  const station = await Station.withRepository(t);
  const disk = station.path('disk.raw');
  makeImage(disk, 24 * MIB, [{ offset: 0, lengthBytes: 20 * MIB }]);
  makeImage(station.path('small.raw'), 24 * MIB, [{ offset: 0, lengthBytes: 2 * MIB }]);
  for (const [vmid, image] of [
    [100, disk],
    [101, station.path('small.raw')],
  ] as const)
    await station.must(
      ...['backup', station.store, '--guest', `qemu/${vmid}`, '--disk', `${DEVICE}=${image}`],
      ...['--time', '2026-01-01T00:00:00Z'],
    );
  return { station, disk };
}

async function forgetAndCollect({ station }: Stage): Promise<string> {
  const listed = (await station.snapshots()).map(({ snapshot }) => snapshot);
  const snapshot = 'qemu/100@2026-01-01T00:00:00Z';
  if (listed.includes(snapshot)) await station.must('forget', station.store, snapshot);
  return (await station.must('gc', station.store)).err;
}

/** Once nobody reads any more the next collection frees it. */
async function assertFreed(stage: Stage, before: readonly string[]): Promise<void> {
  const { station } = stage;
  await eventually('the session is over', () => station.files('sessions').length === 0);
  assert.match(await forgetAndCollect(stage), /moved what is in use/);
  assert.ok(before.every((pack) => !packsOf(station).includes(pack) || !isLarge(station, pack)));
  assertNoLeftovers(station);
  await station.must('verify', station.store);
}

function isLarge(station: Station, pack: string): boolean {
  return readFileSync(station.files('packs').find((path) => path.endsWith(pack)) ?? '').length > 10 * MIB;
}

describe('what is mounted', () => {
  it('stays until it is unmounted', async (t) => {
    const stage = await setUp(t);
    const { station, disk } = stage;
    const directory = station.path('mnt');
    mkdirSync(directory);
    station.cleanups.add(() => {
      if (isMounted(directory)) execFileSync('umount', ['-l', directory]);
    });
    await station.must('mount', station.store, 'qemu/100@latest', directory);
    const before = packsOf(station);
    assert.match(await forgetAndCollect(stage), /garbage: 0 dead packs[^\n]+, 0 to compact/);
    await assertSameBytes(join(directory, `${DEVICE}.raw`), disk);
    assert.deepEqual(packsOf(station), before);
    await run('umount', [directory]);
    await assertFreed(stage, before);
  });

  it('is read from where others have moved it', async (t) => {
    const stage = await setUp(t);
    const { station } = stage;
    const directory = station.path('mnt');
    mkdirSync(directory);
    station.cleanups.add(() => {
      if (isMounted(directory)) execFileSync('umount', ['-l', directory]);
    });
    await station.must('mount', station.store, 'qemu/101@latest', directory);
    assert.match(await forgetAndCollect(stage), /moved what is in use/);
    await assertSameBytes(join(directory, `${DEVICE}.raw`), station.path('small.raw'));
    await run('umount', [directory]);
    await eventually('the session is over', () => station.files('sessions').length === 0);
  });
});

describe('what is restored', () => {
  it('stays, also where the daemon ends in between, one way or the other', async (t) => {
    const stage = await setUp(t);
    const { station, disk } = stage;
    const { cleanups, directory } = station;
    const storage = storageAt(station.store);
    let daemon = await TestDaemon.start(cleanups, { directory });
    const client = await daemon.connect();
    const volume = 'backup/vzdump-qemu-100-2026_01_01-00_00_00.vzv';
    const { restoreId } = await client.call('restore.begin', { storage, volume });
    const { path } = await client.call('restore.openDisk', { restoreId, device: DEVICE });
    const before = packsOf(station);
    for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
      await daemon.stop(signal);
      await forgetAndCollect(stage);
      assert.deepEqual(packsOf(station), before);
      const counted = sessionOf(station);
      daemon = await TestDaemon.start(cleanups, { directory });
      await eventually('the next daemon goes on with the session', () => !sessionOf(station).equals(counted));
    }
    await assertSameBytes(path, disk);
    await (await daemon.connect()).call('restore.end', { restoreId });
    await daemon.stop();
    await assertFreed(stage, before);
  });
});

/** What the one session says, which is something else with every heartbeat. */
function sessionOf(station: Station): Buffer {
  const [session = '', ...others] = station.files('sessions');
  assert.deepEqual(others, []);
  return readFileSync(session);
}

function isMounted(directory: string): boolean {
  return readFileSync('/proc/self/mountinfo', 'utf8').includes(` ${directory} `);
}
