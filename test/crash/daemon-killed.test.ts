/** The daemon dies in the middle of a backup: what was committed stays, nothing half-written is listed, the next backup is whole. */
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { test } from 'node:test';
import { toVzvaultError } from '../../src/lib/errors.js';
import {
  backUpGuest,
  backupVm,
  beginGuestBackup,
  diskAt,
  storageAt,
  TestDaemon,
  volumesOf,
  type GuestBackup,
} from '../support/daemon.js';
import { assertSameBytes, makeImage, restoreAll } from '../support/images.js';
import { startQemuNbd } from '../support/nbd-servers.js';
import { cleanupsOf, type Cleanups } from '../support/temp.js';

const MIB = 1024 * 1024;
const sizeBytes = 220 * MIB;

/** By real QEMU: nbdkit 1.32 does not survive a client that is killed. */
async function serve(cleanups: Cleanups, path: string): Promise<void> {
  await startQemuNbd(cleanups, `${path}.sock`, [{ name: 'drive-scsi0', path, format: 'raw' }]);
}

/** Files below a directory of the repository. */
function filesIn(repository: string, name: string): string[] {
  return readdirSync(join(repository, name), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => entry.name);
}

const moments: readonly { readonly name: string; readonly reached: (repository: string) => boolean }[] = [
  { name: 'before anything is written', reached: () => true },
  { name: 'when the first file is unfinished', reached: (repository) => filesIn(repository, 'tmp').length > 0 },
  { name: 'when a first pack is there', reached: (repository) => filesIn(repository, 'packs').length > packsBefore },
  { name: 'when two packs are there', reached: (repository) => filesIn(repository, 'packs').length > packsBefore + 1 },
  { name: 'when a segment is there', reached: (repository) => filesIn(repository, 'index').length > 1 },
];
/** The data and the map of the small backup. */
const packsBefore = 2;

for (const { name, reached } of moments) {
  test(`killed ${name}`, async (t) => {
    const cleanups = cleanupsOf(t);
    const directory = cleanups.directory();
    const [small, large] = [join(directory, 'small.raw'), join(directory, 'large.raw')];
    makeImage(small, 2 * MIB, [{ offset: 0, lengthBytes: MIB }], 1);
    makeImage(large, sizeBytes, [{ offset: 10 * MIB, lengthBytes: 180 * MIB }], 2);
    for (const path of [small, large]) await serve(cleanups, path);
    const storage = storageAt(join(directory, 'store'));
    const repository = join(storage.path, 'vzvault');
    mkdirSync(storage.path);
    const first = await TestDaemon.start(cleanups, { directory });
    const client = await first.connect();
    await client.call('storage.create', { storage });
    const before = await backUpGuest(client, { storage, disks: [diskAt(`${small}.sock`, 2 * MIB)] });

    const backup: GuestBackup = { storage, disks: [diskAt(`${large}.sock`, sizeBytes)], vmid: 101 };
    const { backupId, volume } = await beginGuestBackup(client, backup);
    let answer = 'none';
    const running = backupVm(client, backupId, backup).then(
      () => {
        answer = 'committed';
      },
      (error: unknown) => {
        answer = toVzvaultError(error).code;
      },
    );
    while (answer === 'none' && !reached(repository)) await new Promise(setImmediate);
    first.program.child.kill('SIGKILL');
    await running;
    await first.program.ended;

    const next = await TestDaemon.start(cleanups, { directory });
    const again = await next.connect();
    // Between the commit and its answer nobody can tell; whatever is listed is whole.
    const listed = await volumesOf(again, storage);
    if (answer === 'committed') assert.deepEqual(listed, [before.volume, volume]);
    else assert.equal(answer, 'E_CONNECTION_LOST');
    t.diagnostic(`${filesIn(repository, 'tmp').length} unfinished files, ${listed.length} snapshots`);
    const after = await backUpGuest(again, backup);
    assert.deepEqual(await volumesOf(again, storage), [...listed, after.volume]);
    for (const restored of [...listed, after.volume]) {
      await restoreAll(again, storage, restored, join(directory, 'restored'));
      await assertSameBytes(restored === before.volume ? small : large, join(directory, 'restored', 'drive-scsi0.raw'));
    }
  });
}

test('killed again and again, at any time, it still gets the backup done in the end', async (t) => {
  const cleanups = cleanupsOf(t);
  const directory = cleanups.directory();
  const image = join(directory, 'disk.raw');
  makeImage(image, 128 * MIB, [{ offset: 0, lengthBytes: 100 * MIB }], 3);
  await serve(cleanups, image);
  const storage = storageAt(join(directory, 'store'));
  mkdirSync(storage.path);
  const seed = Math.floor(Math.random() * 1e6);
  t.diagnostic(`seed ${seed}`);
  let state = seed;
  const committed: string[] = [];
  for (let round = 0; round < 8; round += 1) {
    const daemon = await TestDaemon.start(cleanups, { directory });
    const client = await daemon.connect();
    await client.call('storage.create', { storage });
    const listed = await volumesOf(client, storage);
    for (const volume of committed) assert.ok(listed.includes(volume), `${volume} is still there`);
    const backup = backUpGuest(client, { storage, disks: [diskAt(`${image}.sock`, 128 * MIB)] }).then(
      ({ volume }) => {
        committed.push(volume);
      },
      () => undefined,
    );
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    await Promise.race([backup, sleep(state % 600)]);
    await daemon.stop('SIGKILL');
    await backup;
  }
  const daemon = await TestDaemon.start(cleanups, { directory });
  const client = await daemon.connect();
  await backUpGuest(client, { storage, disks: [diskAt(`${image}.sock`, 128 * MIB)] });
  // A commit whose answer was lost is whole as well.
  for (const volume of await volumesOf(client, storage)) {
    await restoreAll(client, storage, volume, join(directory, 'restored'));
    await assertSameBytes(image, join(directory, 'restored', 'drive-scsi0.raw'));
  }
});
