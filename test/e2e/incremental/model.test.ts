/** The model VM does with disks and bitmaps what PVE's QEMU does: what the other tests here rest on. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { noise } from '../../support/images.js';
import { BackupAccess, bitmapNameOf, canZeroDuringAccess, type RequestedMode } from '../../support/model-access.js';
import { KeptBitmap } from '../../support/model-bitmaps.js';
import { run } from '../../support/model-run.js';
import { ModelVm, type DiskFormat } from '../../support/model-vm.js';
import { cleanupsOf } from '../../support/temp.js';

const MIB = 1024 * 1024;
const granule = 4 * MIB;
const device = 'drive-scsi0';
const sizeBytes = 30 * MIB + 512;

interface Setup {
  readonly vm: ModelVm;
  readonly directory: string;
  open(mode: RequestedMode): Promise<BackupAccess>;
}

async function setUp(t: TestContext, format: DiskFormat = 'raw'): Promise<Setup> {
  const cleanups = cleanupsOf(t);
  const directory = cleanups.directory();
  const vm = new ModelVm(cleanups, 100, join(directory, 'vm'));
  await vm.addDisk({ device, sizeBytes, format });
  await vm.start();
  await vm.write(device, 5 * MIB + 100, noise(3 * MIB, 1));
  const open = async (mode: RequestedMode): Promise<BackupAccess> => {
    const access = await BackupAccess.open(vm, {
      storeid: 'store',
      modes: { [device]: mode },
      fleecingDirectory: directory,
    });
    await access.serve();
    return access;
  };
  return { vm, directory, open };
}

function uri(access: BackupAccess): string {
  return `nbd+unix:///${device}?socket=${access.nbdPath}`;
}

/** The dirty regions as libnbd sees them. */
async function dirtyRegions(access: BackupAccess): Promise<[number, number][]> {
  const map = await run('nbdinfo', '--json', `--map=qemu:dirty-bitmap:${bitmapNameOf('store')}`, uri(access));
  const regions = JSON.parse(map) as { offset: number; length: number; type: number }[];
  return regions.filter(({ type }) => (type & 1) === 1).map(({ offset, length }) => [offset, length]);
}

async function actionOf(setup: Setup, mode: RequestedMode, success: boolean): Promise<string> {
  const access = await setup.open(mode);
  await access.close(success);
  return access.devices[0]!.action;
}

for (const format of ['raw', 'qcow2'] as const) {
  test(`an export shows the ${format} disk of its moment, whatever the guest writes`, async (t) => {
    const setup = await setUp(t, format);
    const { vm, directory } = setup;
    for (const mode of ['none', 'new'] as const) {
      const frozen = vm.disk(device).image.freeze();
      const access = await setup.open(mode);
      await vm.write(device, 6 * MIB, noise(9 * MIB, mode.length));
      if (await canZeroDuringAccess()) await vm.discard(device, 5 * MIB, MIB);
      const copy = join(directory, `${mode}.raw`);
      await run('nbdcopy', uri(access), copy);
      assert.equal(await frozen.differenceTo(copy), null);
      await access.close(true);
      assert.notEqual(await vm.disk(device).image.freeze().differenceTo(copy), null);
    }
    await vm.stop();
    const { path } = vm.disk(device);
    await run('qemu-img', 'convert', '-f', format, '-O', 'raw', path, join(directory, 'live.raw'));
    assert.equal(await vm.disk(device).image.freeze().differenceTo(join(directory, 'live.raw')), null);
  });
}

test('a bitmap marks what was written since the backup that succeeded', async (t) => {
  const setup = await setUp(t);
  const { vm } = setup;
  const first = await setup.open('new');
  assert.deepEqual(await dirtyRegions(first), [[0, sizeBytes]]);
  // During a backup counts for the next.
  await vm.write(device, 9 * MIB, noise(100, 3));
  await first.close(true);
  await vm.write(device, sizeBytes - 1, noise(1, 4));

  const second = await setup.open('use');
  assert.equal(second.devices[0]!.action, 'used');
  assert.equal(second.devices[0]!.dirtyBytes, 2 * granule, 'QEMU counts the last granule whole');
  const marked = [
    [2 * granule, granule],
    [7 * granule, sizeBytes % granule],
  ];
  assert.deepEqual(await dirtyRegions(second), marked);
  await second.close(false);
  const third = await setup.open('use');
  assert.deepEqual(await dirtyRegions(third), marked, 'a failed backup forgets nothing');
  await third.close(true);
  const fourth = await setup.open('use');
  assert.equal(fourth.devices[0]!.dirtyBytes, 0);
  await fourth.close(true);
});

test('a bitmap lives as long as its QEMU and its disk', async (t) => {
  const setup = await setUp(t);
  const { vm } = setup;
  assert.equal(await actionOf(setup, 'use', true), 'missing-recreated');
  assert.equal(await actionOf(setup, 'use', true), 'used');
  assert.equal(await actionOf(setup, 'new', true), 'new');
  assert.equal(await actionOf(setup, 'none', true), 'not-used-removed');
  assert.equal(await actionOf(setup, 'none', true), 'not-used');
  assert.equal(await actionOf(setup, 'new', true), 'new');
  await vm.powerCycle();
  assert.equal(await actionOf(setup, 'use', true), 'missing-recreated');
  await vm.attachDisk(await vm.detachDisk(device));
  assert.equal(await actionOf(setup, 'use', true), 'missing-recreated');
  await vm.moveDisk(device);
  assert.equal(await actionOf(setup, 'use', true), 'missing-recreated');
  await vm.kill();
  await vm.start();
  assert.equal(await actionOf(setup, 'use', true), 'missing-recreated');
});

test('a disk that grew keeps its bitmap, and the new end is clean in it', async (t) => {
  const setup = await setUp(t);
  const { vm } = setup;
  await (await setup.open('new')).close(true);
  await vm.growDisk(device, sizeBytes + 20 * MIB);
  const access = await setup.open('use');
  assert.equal(access.devices[0]!.action, 'used');
  assert.equal(access.devices[0]!.dirtyBytes, 0);
  await access.close(true);
});

test('a rolled back memory brings its old bitmap back', async (t) => {
  const setup = await setUp(t);
  const { vm } = setup;
  await (await setup.open('new')).close(true);
  await vm.write(device, 12 * MIB, noise(MIB, 5));
  const kept = await KeptBitmap.of(vm, device, bitmapNameOf('store'));
  const disk = vm.disk(device).image.freeze();
  await (await setup.open('use')).close(true);
  await vm.stop();
  await vm.start();
  await kept!.bringBack(vm);
  const access = await setup.open('use');
  assert.equal(access.devices[0]!.action, 'used');
  assert.deepEqual(await dirtyRegions(access), [[3 * granule, granule]]);
  const copy = join(setup.directory, 'copy.raw');
  await access.close(true);
  await vm.stop();
  await run('cp', vm.disk(device).path, copy);
  assert.equal(await disk.differenceTo(copy), null);
});

test('a full fleecing image fails the readers and not the guest', async (t) => {
  const setup = await setUp(t);
  const cleanups = cleanupsOf(t);
  const small = cleanups.directory();
  cleanups.tmpfs(small, 2 * MIB);
  const { vm } = setup;
  const modes = { [device]: 'new' } as const;
  const access = await BackupAccess.open(vm, { storeid: 'store', modes, fleecingDirectory: small });
  await access.serve();
  await vm.write(device, 0, noise(16 * MIB, 6));
  await assert.rejects(run('nbdcopy', uri(access), join(setup.directory, 'copy.raw')), /nbdcopy/);
  await access.close(false);
  assert.deepEqual(await vm.read(device, MIB, 4096), noise(16 * MIB, 6).subarray(MIB, MIB + 4096));
});
