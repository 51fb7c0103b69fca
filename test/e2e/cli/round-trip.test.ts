import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { statSync, writeFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { assertSameBytes, makeImage, noise } from '../../support/images.js';
import { startNbdkit, startQemuNbd } from '../../support/nbd-servers.js';
import type { Cleanups } from '../../support/temp.js';
import { Station } from '../../support/vzvault.js';

const MIB = 1024 * 1024;
const LATEST = 'qemu/100@latest';

interface BackupResult {
  snapshot: string;
  sizeBytes: number;
  readBytes: number;
  zeroBytes: number;
  reusedBytes: number;
  newBytes: number;
  addedBytes: number;
}

function loopDevice(cleanups: Cleanups, file: string): string {
  const device = execFileSync('losetup', ['--find', '--show', file], { encoding: 'utf8' }).trim();
  cleanups.add(() => {
    execFileSync('losetup', ['--detach', device]);
  });
  return device;
}

function backupArgs(station: Station, source: string): string[] {
  return ['backup', station.store, '--guest', 'qemu/100', '--disk', `drive-scsi0=${source}`];
}

async function assertRestores(station: Station, original: string): Promise<void> {
  const copy = station.path(`copy-${Math.random()}`);
  await station.must('restore', station.store, LATEST, '--disk', 'drive-scsi0', '--to', copy);
  await assertSameBytes(original, copy);
}

describe('a disk goes in and comes back byte for byte', () => {
  for (const chunkSize of ['256K', '512K', '1M', '4M']) {
    it(`with chunks of ${chunkSize}, holes and an odd end`, async (t) => {
      const station = await Station.withRepository(t, '--chunk-size', chunkSize);
      const image = station.path('disk.raw');
      const extents = [
        { offset: 0, lengthBytes: 3 * MIB + 17 },
        { offset: 300 * MIB, lengthBytes: 5 * MIB },
        { offset: 399 * MIB + 1000, lengthBytes: 2021 },
      ];
      makeImage(image, 400 * MIB + 512, extents);
      const result = await station.json<BackupResult>(...backupArgs(station, image));
      assert.equal(result.sizeBytes, 400 * MIB + 512);
      assert.equal(result.zeroBytes + result.reusedBytes + result.newBytes, result.sizeBytes);
      assert.ok(result.readBytes < 20 * MIB, `read ${result.readBytes} bytes: holes must not be read`);
      await assertRestores(station, image);
      assert.equal((await station.must('verify', station.store)).code, 0);
    });
  }

  it('of sizes that are no chunk and no sector: empty, one byte, 540672, one below and above a chunk', async (t) => {
    const station = await Station.withRepository(t);
    const sizes = [0, 1, 511, 540_672, 512 * 1024 - 1, 512 * 1024, 512 * 1024 + 1];
    const args = ['backup', station.store, '--guest', 'qemu/100'];
    for (const size of sizes) {
      writeFileSync(station.path(`${size}.raw`), noise(size, size + 1));
      args.push('--disk', `disk${size}=${station.path(`${size}.raw`)}`);
    }
    await station.must(...args);
    for (const size of sizes) {
      const copy = station.path(`${size}.copy`);
      await station.must('restore', station.store, LATEST, '--disk', `disk${size}`, '--to', copy);
      await assertSameBytes(station.path(`${size}.raw`), copy);
    }
  });

  it('from real QEMU over NBD, raw and qcow2', async (t) => {
    const station = await Station.withRepository(t);
    makeImage(station.path('raw'), 64 * MIB, [{ offset: 10 * MIB, lengthBytes: 9 * MIB }]);
    execFileSync('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', station.path('raw'), station.path('qcow2')]);
    const socket = station.path('nbd.sock');
    await startQemuNbd(station.cleanups, socket, [
      { name: 'one', path: station.path('raw'), format: 'raw' },
      { name: 'two', path: station.path('qcow2'), format: 'qcow2' },
    ]);
    for (const name of ['one', 'two']) {
      const result = await station.json<BackupResult>(...backupArgs(station, `nbd+unix:///${name}?socket=${socket}`));
      assert.ok(result.readBytes <= 10 * MIB, `${name}: read ${result.readBytes}`);
      await assertRestores(station, station.path('raw'));
    }
  });

  it('from a block device, and onto one', async (t) => {
    const station = await Station.withRepository(t);
    makeImage(station.path('a'), 32 * MIB, [{ offset: 4 * MIB, lengthBytes: 3 * MIB }]);
    writeFileSync(station.path('b'), noise(32 * MIB, 99));
    await station.must(...backupArgs(station, loopDevice(station.cleanups, station.path('a'))));
    const target = loopDevice(station.cleanups, station.path('b'));
    const restore = ['restore', station.store, LATEST, '--disk', 'drive-scsi0', '--to', target];
    assert.match((await station.run(...restore)).err, /E_TARGET_EXISTS/);
    await station.must(...restore, '--overwrite');
    await assertSameBytes(station.path('a'), target);
  });

  it('over a file that was there, shorter or longer', async (t) => {
    const station = await Station.withRepository(t);
    makeImage(station.path('disk'), 8 * MIB, [{ offset: MIB, lengthBytes: MIB }]);
    await station.must(...backupArgs(station, station.path('disk')));
    for (const size of [MIB, 20 * MIB]) {
      const target = station.path(`target${size}`);
      writeFileSync(target, noise(size, size));
      await station.must('restore', station.store, LATEST, '--disk', 'drive-scsi0', '--to', target, '--overwrite');
      await assertSameBytes(station.path('disk'), target);
    }
  });

  it('as a sparse file where it had holes', async (t) => {
    const station = await Station.withRepository(t);
    makeImage(station.path('disk'), 1024 * MIB, [{ offset: 500 * MIB, lengthBytes: MIB }]);
    await station.must(...backupArgs(station, station.path('disk')));
    const copy = station.path('copy');
    const result = await station.json<{ holeBytes: number }>(
      'restore',
      station.store,
      LATEST,
      '--disk',
      'drive-scsi0',
      '--to',
      copy,
    );
    assert.equal(statSync(copy).size, 1024 * MIB);
    assert.ok(statSync(copy).blocks * 512 <= 2 * MIB);
    assert.ok(result.holeBytes >= 1022 * MIB);
  });
});

describe('what is stored already', () => {
  it('is not stored again: not the same disk, not a part of it in another guest', async (t) => {
    const station = await Station.withRepository(t);
    const image = station.path('disk');
    makeImage(image, 64 * MIB, [{ offset: 0, lengthBytes: 24 * MIB }]);
    const first = await station.json<BackupResult>(...backupArgs(station, image));
    assert.ok(first.newBytes >= 24 * MIB && first.addedBytes >= 24 * MIB);
    const again = await station.json<BackupResult>(...backupArgs(station, image));
    assert.equal(again.newBytes, 0);
    assert.ok(again.addedBytes < 100_000, `added ${again.addedBytes}`);
    execFileSync('dd', ['if=/dev/urandom', `of=${image}`, 'bs=64K', 'count=1', 'seek=100', 'conv=notrunc'], {
      stdio: 'ignore',
    });
    const changed = await station.json<BackupResult>(
      'backup',
      station.store,
      '--guest',
      'qemu/200',
      '--disk',
      `drive-virtio0=${image}`,
    );
    assert.equal(changed.newBytes, 512 * 1024);
    const figures = await station.json<{
      snapshots: number;
      guests: number;
      logicalBytes: number;
      storedBytes: number;
    }>('stats', station.store);
    assert.deepEqual([figures.snapshots, figures.guests, figures.logicalBytes], [3, 2, 192 * MIB]);
    assert.ok(figures.storedBytes < 26 * MIB);
    assert.equal((await station.must('verify', station.store)).code, 0);
  });

  it('compresses', async (t) => {
    const station = await Station.withRepository(t);
    writeFileSync(station.path('text'), 'vzvault '.repeat(MIB) + 'the end');
    const result = await station.json<BackupResult>(...backupArgs(station, station.path('text')));
    assert.ok(result.addedBytes * 20 < result.newBytes, JSON.stringify(result));
    await assertRestores(station, station.path('text'));
  });

  it('survives that the snapshot which brought it is forgotten', async (t) => {
    const station = await Station.withRepository(t);
    makeImage(station.path('disk'), 16 * MIB, [{ offset: 0, lengthBytes: 5 * MIB }]);
    const first = await station.json<BackupResult>(...backupArgs(station, station.path('disk')));
    await station.must(...backupArgs(station, station.path('disk')));
    await station.must('forget', station.store, first.snapshot);
    assert.equal((await station.snapshots()).length, 1);
    await assertRestores(station, station.path('disk'));
  });

  it('is kept once by two writers at the same time', async (t) => {
    const station = await Station.withRepository(t);
    const image = station.path('disk');
    makeImage(image, 48 * MIB, [{ offset: 0, lengthBytes: 32 * MIB }]);
    const guests = ['qemu/101', 'qemu/102', 'qemu/103'];
    await Promise.all(
      guests.map((guest) => station.must('backup', station.store, '--guest', guest, '--disk', `drive-scsi0=${image}`)),
    );
    assert.equal((await station.snapshots()).length, 3);
    for (const guest of guests) {
      const copy = station.path(guest.replace('/', '-'));
      await station.must('restore', station.store, `${guest}@latest`, '--disk', 'drive-scsi0', '--to', copy);
      await assertSameBytes(image, copy);
    }
    assert.equal((await station.must('verify', station.store)).code, 0);
  });
});

describe('a source that nbdkit makes', () => {
  it('is read at most as fast as it may be', async (t) => {
    const station = await Station.withRepository(t);
    const socket = station.path('nbd.sock');
    await startNbdkit(station.cleanups, socket, ['pattern', '24M']);
    const begin = performance.now();
    await station.must(...backupArgs(station, `nbd+unix:///?socket=${socket}`), '--limit', '8M');
    assert.ok(performance.now() - begin > 2_000);
  });
});
