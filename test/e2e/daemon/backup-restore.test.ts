/** A guest goes in through the daemon from real QEMU and comes back through qemu-img byte for byte. */
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { rejectsWith } from '../../support/assertions.js';
import {
  backUpGuest,
  backupVm,
  beginGuestBackup,
  createStorage,
  diskAt,
  endGuestBackup,
  storageAt,
  TestDaemon,
  volumesOf,
} from '../../support/daemon.js';
import { assertSameBytes, makeImage, restoreAll } from '../../support/images.js';
import { startNbdkit, startQemuNbd } from '../../support/nbd-servers.js';
import { cleanupsOf } from '../../support/temp.js';

const MIB = 1024 * 1024;
const efiBytes = 540_672;

test('two disks of one guest, configurations verbatim, twice, and out again', async (t) => {
  const cleanups = cleanupsOf(t);
  const directory = cleanups.directory();
  const [system, efi] = [join(directory, 'system.raw'), join(directory, 'efi.raw')];
  const systemBytes = 200 * MIB + 5 * 512;
  makeImage(system, systemBytes, [
    { offset: 0, lengthBytes: 3 * MIB },
    { offset: 70 * MIB + 512, lengthBytes: 20 * MIB },
    { offset: systemBytes - 700, lengthBytes: 700 },
  ]);
  makeImage(efi, efiBytes, [{ offset: 4096, lengthBytes: 5000 }]);
  const socket = join(directory, 'nbd.sock');
  const disks = [diskAt(socket, systemBytes), diskAt(socket, efiBytes, 'drive-efidisk0')];
  await startQemuNbd(cleanups, socket, [
    { name: 'drive-scsi0', path: system, format: 'raw' },
    { name: 'drive-efidisk0', path: efi, format: 'raw' },
  ]);
  const daemon = await TestDaemon.start(cleanups, { directory });
  const lines: string[] = [];
  const client = await daemon.connect(lines);
  const storage = storageAt(join(directory, 'store'));
  mkdirSync(storage.path);
  assert.equal((await client.call('storage.create', { storage })).created, true);

  const config = '#b\xfcro\n#qmdump#map:scsi0:drive-scsi0:local::\nmemory: 512\n';
  const backup = { storage, disks, config, firewall: '[OPTIONS]\n\nenable: 1\n' };
  const first = await backUpGuest(client, backup);
  assert.equal(first.sizeBytes, systemBytes + efiBytes);
  assert.ok(first.addedBytes > 23 * MIB && first.addedBytes < 26 * MIB, `added ${first.addedBytes}`);
  assert.ok(first.readBytes < 40 * MIB, `holes are not read, but ${first.readBytes} bytes were`);
  assert.match(lines.join('\n'), /info: drive-scsi0: 200 MiB, mode full/);
  assert.match(lines.join('\n'), /info: drive-efidisk0: 100%/);
  assert.match(lines.at(-1) ?? '', /the repository grew by/);

  const second = await backUpGuest(client, backup);
  assert.ok(second.addedBytes < MIB, `unchanged data is not stored again, but ${second.addedBytes} bytes were added`);

  const { backups } = await client.call('storage.list', { storage });
  assert.deepEqual(
    backups.map((entry) => [entry.volume, entry.sizeBytes, entry.addedBytes, entry.verifyState]),
    [first, second].map((entry) => [entry.volume, systemBytes + efiBytes, entry.addedBytes, 'none']),
  );
  for (const { volume } of backups) {
    const target = join(directory, 'restored');
    assert.deepEqual((await restoreAll(client, storage, volume, target)).sort(), ['drive-efidisk0', 'drive-scsi0']);
    await assertSameBytes(system, join(target, 'drive-scsi0.raw'));
    await assertSameBytes(efi, join(target, 'drive-efidisk0.raw'));
    for (const [name, text] of [
      ['guest.conf', config],
      ['firewall.conf', backup.firewall],
    ] as const) {
      const { contentBase64 } = await client.call('storage.readConfig', { storage, volume, name });
      assert.equal(Buffer.from(contentBase64 ?? '', 'base64').toString('latin1'), text);
    }
  }
  assert.deepEqual(readdirSync(join(daemon.runDirectory, 'mounts')), []);
  await client.call('storage.free', { storage, volume: first.volume });
  assert.deepEqual(await volumesOf(client, storage), [second.volume]);
  assert.equal(await daemon.stop(), 0);
});

test('several guests go into several storages at once', async (t) => {
  const cleanups = cleanupsOf(t);
  const directory = cleanups.directory();
  const socket = join(directory, 'nbd.sock');
  const sizeBytes = 64 * MIB;
  await startNbdkit(cleanups, socket, ['sparse-random', `size=${sizeBytes}`, 'seed=7', 'percent=30']);
  const daemon = await TestDaemon.start(cleanups, { directory });
  const client = await daemon.connect();
  const storages = ['a', 'b'].map((id) => storageAt(join(directory, id), `store-${id}`));
  for (const storage of storages) {
    mkdirSync(storage.path);
    await client.call('storage.create', { storage });
  }
  const disks = [diskAt(socket, sizeBytes)];
  const guests = storages.flatMap((storage) => [100, 101].map((vmid) => ({ storage, disks, vmid })));
  await Promise.all(guests.map(async (guest) => backUpGuest(await daemon.connect(), guest)));
  for (const storage of storages) assert.equal((await volumesOf(client, storage)).length, 2);
});

test('the same guest is refused while it is being backed up', async (t) => {
  const cleanups = cleanupsOf(t);
  const directory = cleanups.directory();
  const socket = join(directory, 'nbd.sock');
  await startNbdkit(cleanups, socket, ['memory', '1M']);
  const daemon = await TestDaemon.start(cleanups, { directory });
  const client = await daemon.connect();
  const storage = await createStorage(client, join(directory, 'store'));
  const backup = { storage, disks: [diskAt(socket, MIB)] };
  const running = await beginGuestBackup(client, backup);
  await rejectsWith('E_GUEST_BUSY', beginGuestBackup(client, backup));
  await backupVm(client, running.backupId, backup);
  await endGuestBackup(client, running, null);
  await backUpGuest(client, backup);
});
