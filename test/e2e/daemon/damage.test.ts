/** What a repository with damage in it does: errors that name it, never wrong bytes, and a way back. */
import assert from 'node:assert/strict';
import { closeSync, openSync, readdirSync, readSync, renameSync, statSync, writeSync } from 'node:fs';
import { basename, join } from 'node:path';
import { test, type TestContext } from 'node:test';
import type { DaemonClient } from '../../../src/rpc/client.js';
import type { Storage } from '../../../src/rpc/contract.js';
import { rejectsWith } from '../../support/assertions.js';
import { backUpGuest, createStorage, diskAt, type GuestBackup, TestDaemon } from '../../support/daemon.js';
import { assertSameBytes, makeImage, restoreAll } from '../../support/images.js';
import { startQemuNbd } from '../../support/nbd-servers.js';
import { until } from '../../support/processes.js';
import { cleanupsOf } from '../../support/temp.js';

const MIB = 1024 * 1024;
const sizeBytes = 24 * MIB;

interface Setup {
  readonly directory: string;
  readonly daemon: TestDaemon;
  readonly client: DaemonClient;
  readonly storage: Storage;
  readonly image: string;
  readonly backup: GuestBackup;
}

async function setUp(t: TestContext): Promise<Setup> {
  const cleanups = cleanupsOf(t);
  const directory = cleanups.directory();
  const [image, socket] = [join(directory, 'disk.raw'), join(directory, 'nbd.sock')];
  makeImage(image, sizeBytes, [{ offset: 2 * MIB, lengthBytes: 8 * MIB }]);
  await startQemuNbd(cleanups, socket, [{ name: 'drive-scsi0', path: image, format: 'raw' }]);
  const daemon = await TestDaemon.start(cleanups, { directory });
  const client = await daemon.connect();
  const storage = await createStorage(client, join(directory, 'store'));
  return { directory, daemon, client, storage, image, backup: { storage, disks: [diskAt(socket, sizeBytes)] } };
}

function flip(path: string, offset: number): void {
  const fd = openSync(path, 'r+');
  const byte = Buffer.alloc(1);
  readSync(fd, byte, 0, 1, offset);
  writeSync(fd, Buffer.from([(byte[0] ?? 0) ^ 1]), 0, 1, offset);
  closeSync(fd);
}

/** The path of the pack with the disk's data. */
function largestPack({ path }: Storage): string {
  const files = readdirSync(join(path, 'vzvault/packs'), { recursive: true, withFileTypes: true });
  const paths = files.filter((file) => file.isFile()).map((file) => join(file.parentPath, file.name));
  return paths.sort((a, b) => statSync(b).size - statSync(a).size)[0] ?? '';
}

test('a damaged chunk fails the restore and is named; with its pack out of the way the next backup mends it', async (t) => {
  const setup = await setUp(t);
  const { client, daemon, storage, directory, image } = setup;
  const first = await backUpGuest(client, setup.backup);
  const pack = largestPack(storage);
  flip(pack, Math.floor(statSync(pack).size / 2));
  const target = join(directory, 'restored');
  await assert.rejects(restoreAll(client, storage, first.volume, target), /Input\/output error/);
  await until('the chunk is named', () => daemon.program.output().includes('E_CHUNK_DAMAGED'));
  const named = new RegExp(`E_CHUNK_DAMAGED.*drive-scsi0.*chunk [0-9a-f]{16}.*pack ${basename(pack).slice(0, 16)}`);
  assert.match(daemon.program.output(), named);
  assert.deepEqual(readdirSync(join(daemon.runDirectory, 'mounts')), []);

  renameSync(pack, join(directory, 'damaged-pack'));
  await assert.rejects(restoreAll(client, storage, first.volume, target), /Input\/output error/);
  const second = await backUpGuest(client, setup.backup);
  assert.ok(second.addedBytes > 7 * MIB, `${second.addedBytes} bytes were stored anew`);
  for (const { volume } of [first, second]) {
    await restoreAll(client, storage, volume, target);
    await assertSameBytes(image, join(target, 'drive-scsi0.raw'));
  }
});

test('a snapshot whose document is damaged is listed as such and refused by name; others are not touched', async (t) => {
  const setup = await setUp(t);
  const { client, storage, directory, image } = setup;
  const damaged = await backUpGuest(client, setup.backup);
  const whole = await backUpGuest(client, { ...setup.backup, vmid: 101 });
  const group = join(storage.path, 'vzvault/snapshots/qemu/100');
  flip(join(group, readdirSync(group)[0] ?? '', 'snapshot'), 80);
  const { backups } = await client.call('storage.list', { storage });
  assert.deepEqual(
    backups.map(({ volume, verifyState, sizeBytes: size }) => [volume, verifyState, size]),
    [
      [damaged.volume, 'damaged', 0],
      [whole.volume, 'none', sizeBytes],
    ],
  );
  await rejectsWith('E_SNAPSHOT_DAMAGED', client.call('restore.begin', { storage, volume: damaged.volume }));
  const config = { storage, volume: damaged.volume, name: 'guest.conf' } as const;
  await rejectsWith('E_SNAPSHOT_DAMAGED', client.call('storage.readConfig', config));
  await restoreAll(client, storage, whole.volume, join(directory, 'restored'));
  await assertSameBytes(image, join(directory, 'restored', 'drive-scsi0.raw'));
  await client.call('storage.free', { storage, volume: damaged.volume });
});
