/** Storages that are missing, foreign, newer, read-only, full or hung: a documented code, a daemon that lives on, nothing half-written. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import type { DaemonClient } from '../../../src/rpc/client.js';
import type { Storage } from '../../../src/rpc/contract.js';
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
import { makeImage } from '../../support/images.js';
import { startNbdkit, startQemuNbd } from '../../support/nbd-servers.js';
import { freeze, startProgram, until, type Program } from '../../support/processes.js';
import { cleanupsOf, type Cleanups } from '../../support/temp.js';

const MIB = 1024 * 1024;

interface Setup {
  readonly cleanups: Cleanups;
  readonly directory: string;
  readonly daemon: TestDaemon;
  readonly client: DaemonClient;
}

async function setUp(t: TestContext): Promise<Setup> {
  const cleanups = cleanupsOf(t);
  const directory = cleanups.directory();
  const daemon = await TestDaemon.start(cleanups, { directory });
  return { cleanups, directory, daemon, client: await daemon.connect() };
}

/** A disk of `sizeBytes` that does not compress. */
async function randomDisk(
  { cleanups, directory }: Setup,
  sizeBytes: number,
  seed = 1,
): Promise<ReturnType<typeof diskAt>> {
  const socket = join(directory, `random-${seed}.sock`);
  await startNbdkit(cleanups, socket, ['random', `size=${sizeBytes}`, `seed=${seed}`]);
  return diskAt(socket, sizeBytes);
}

test('a path that is missing, empty, foreign or not mounted', async (t) => {
  const { client, directory } = await setUp(t);
  const storage = storageAt(join(directory, 'absent'));
  await rejectsWith('E_PATH_MISSING', client.call('storage.activate', { storage }));
  await rejectsWith('E_PATH_MISSING', client.call('storage.create', { storage }));
  await rejectsWith('E_PATH_MISSING', client.call('storage.status', { storage }));
  mkdirSync(storage.path);
  writeFileSync(join(storage.path, 'config'), 'of another program');
  const missing = await rejectsWith('E_REPOSITORY_MISSING', client.call('storage.activate', { storage }));
  assert.match(missing.message, new RegExp(storage.path));
  await rejectsWith('E_REPOSITORY_MISSING', client.call('storage.list', { storage }));
  await rejectsWith('E_REPOSITORY_MISSING', client.call('job.begin', { storage, startTimeSeconds: 1 }));
  await rejectsWith('E_NOT_MOUNTED', client.call('storage.create', { storage: { ...storage, isMountpoint: 'yes' } }));
  writeFileSync(join(directory, 'file'), '');
  const file = storageAt(join(directory, 'file'));
  await rejectsWith('E_PATH_MISSING', client.call('storage.activate', { storage: file }));
});

test('a repository of a newer format, or with a damaged config', async (t) => {
  const { client, directory } = await setUp(t);
  const storage = await createStorage(client, join(directory, 'store'));
  const config = join(storage.path, 'vzvault/config');
  const text = readFileSync(config, 'utf8');
  writeFileSync(config, text.replace('"format":1', '"format":2'));
  await rejectsWith('E_FORMAT_UNKNOWN', client.call('storage.activate', { storage }));
  await rejectsWith('E_FORMAT_UNKNOWN', client.call('storage.create', { storage }));
  for (const damaged of ['', text.slice(0, 40), text.replace('524288', '262144')]) {
    writeFileSync(config, damaged);
    await rejectsWith('E_CONFIG_INVALID', client.call('storage.activate', { storage }));
  }
  writeFileSync(config, text);
  await client.call('storage.activate', { storage });
});

test('another repository in the same place is noticed at the next call', async (t) => {
  const { client, directory } = await setUp(t);
  const storage = await createStorage(client, join(directory, 'store'));
  const before = await client.call('storage.activate', { storage });
  execFileSync('mv', [storage.path, join(directory, 'moved')]);
  await rejectsWith('E_PATH_MISSING', client.call('storage.list', { storage }));
  await createStorage(client, storage.path);
  const after = await client.call('storage.activate', { storage });
  assert.notEqual(after.repositoryId, before.repositoryId);
});

test('nothing keeps a mount busy once the calls are answered', async (t) => {
  const { client, cleanups, directory } = await setUp(t);
  const path = join(directory, 'mount');
  mkdirSync(path);
  execFileSync('mount', ['-t', 'tmpfs', 'vzvault-test', path]);
  const unmount = (): boolean => spawnSync('umount', [path], { stdio: 'ignore' }).status === 0;
  cleanups.add(() => {
    unmount();
  });
  const storage = await createStorage(client, path);
  await client.call('storage.list', { storage });
  await client.call('storage.status', { storage });
  // The threads that held it need a moment to close it.
  await until('it can be unmounted', unmount, 2000);
  await rejectsWith('E_REPOSITORY_MISSING', client.call('storage.activate', { storage }));
});

test('a storage that becomes read-only refuses writing calls and goes on reading', async (t) => {
  const setup = await setUp(t);
  const { client, cleanups, directory } = setup;
  const path = join(directory, 'mount');
  mkdirSync(path);
  cleanups.tmpfs(path, 64 * MIB);
  const storage = await createStorage(client, path);
  const disk = await randomDisk(setup, 2 * MIB);
  const { volume } = await backUpGuest(client, { storage, disks: [disk] });
  execFileSync('mount', ['-o', 'remount,ro', path]);
  await rejectsWith('E_READ_ONLY', client.call('storage.setNotes', { storage, volume, notes: 'x' }));
  await rejectsWith('E_READ_ONLY', client.call('storage.setProtected', { storage, volume, protected: true }));
  await rejectsWith('E_READ_ONLY', client.call('storage.free', { storage, volume }));
  await rejectsWith('E_READ_ONLY', client.call('job.begin', { storage, startTimeSeconds: 1 }));
  assert.deepEqual(await volumesOf(client, storage), [volume]);
  await client.call('storage.status', { storage });
  execFileSync('mount', ['-o', 'remount,rw', path]);
  await backUpGuest(client, { storage, disks: [disk] });
});

test('a full storage fails the backup, lists nothing of it, and takes the next one that fits', async (t) => {
  const setup = await setUp(t);
  const { client, cleanups, directory } = setup;
  const path = join(directory, 'mount');
  mkdirSync(path);
  cleanups.tmpfs(path, 24 * MIB);
  const storage = await createStorage(client, path);
  const small = await randomDisk(setup, 4 * MIB, 1);
  const large = await randomDisk(setup, 64 * MIB, 2);
  const first = await backUpGuest(client, { storage, disks: [small] });
  const error = await rejectsWith('E_NO_SPACE', backUpGuest(client, { storage, disks: [large], vmid: 101 }));
  assert.doesNotMatch(error.line, /\n/);
  assert.deepEqual(await volumesOf(client, storage), [first.volume]);
  const used = await client.call('storage.status', { storage });
  assert.ok(
    used.availableBytes > 8 * MIB,
    `unfinished files are removed, but only ${used.availableBytes} bytes are free`,
  );
  const second = await backUpGuest(client, { storage, disks: [small] });
  assert.deepEqual(await volumesOf(client, storage), [first.volume, second.volume]);
});

test('a mount that hangs delays its own calls only, for 2 s, and works again when it is back', async (t) => {
  const { client, cleanups, directory, daemon } = await setUp(t);
  const [behind, path] = [join(directory, 'behind'), join(directory, 'mount')];
  for (const name of [behind, path]) mkdirSync(name);
  const bindfs = await mountBindfs(cleanups, behind, path);
  const hung = await createStorage(client, path);
  const healthy = await createStorage(client, join(directory, 'healthy'));
  await freeze(bindfs.pid);
  const startedMs = performance.now();
  const ask = async (): Promise<number> => {
    const beganMs = performance.now();
    await rejectsWith('E_STORAGE_TIMEOUT', client.call('storage.status', { storage: hung }));
    return performance.now() - beganMs;
  };
  // Many callers at once, over and over: neither threads nor time of the others are used up.
  for (let round = 0; round < 3; round += 1) {
    const asking = Promise.all([ask(), ask(), ask(), ask(), ask(), ask()]);
    for (let call = 0; call < 20; call += 1) {
      const beganMs = performance.now();
      await client.call('storage.status', { storage: healthy });
      await client.call('daemon.ping', {});
      assert.ok(performance.now() - beganMs < 1000, 'a healthy storage answers at once');
    }
    for (const durationMs of await asking) assert.ok(durationMs < 2500, `answered after ${durationMs} ms`);
  }
  assert.ok((await ask()) < 500, 'a storage that is known to hang fails at once');
  assert.ok(performance.now() - startedMs < 15_000);
  const threads = Number(/^Threads:\s+(\d+)$/m.exec(readFileSync(`/proc/${daemon.program.pid}/status`, 'utf8'))?.[1]);
  assert.ok(threads < 60, `${threads} threads`);
  bindfs.child.kill('SIGCONT');
  await until('the storage answers again', () => answers(client, hung));
  assert.deepEqual(await volumesOf(client, hung), []);
});

test('a daemon stops although a mount hangs', async (t) => {
  const { client, cleanups, directory, daemon } = await setUp(t);
  const [behind, path] = [join(directory, 'behind'), join(directory, 'mount')];
  for (const name of [behind, path]) mkdirSync(name);
  const bindfs = await mountBindfs(cleanups, behind, path);
  const storage = await createStorage(client, path);
  await freeze(bindfs.pid);
  await rejectsWith('E_STORAGE_TIMEOUT', client.call('storage.list', { storage }));
  const beganMs = performance.now();
  assert.equal(await daemon.stop(), 0);
  assert.ok(performance.now() - beganMs < 12_000);
});

test('a backup into a mount that hangs can be stopped, and goes in once the mount is back', async (t) => {
  const { client, cleanups, directory, daemon } = await setUp(t);
  const [behind, path] = [join(directory, 'behind'), join(directory, 'mount')];
  for (const name of [behind, path]) mkdirSync(name);
  const bindfs = await mountBindfs(cleanups, behind, path);
  const storage = await createStorage(client, path);
  const [image, socket] = [join(directory, 'disk.raw'), join(directory, 'nbd.sock')];
  makeImage(image, 256 * MIB, [{ offset: 0, lengthBytes: 256 * MIB }]);
  // Not nbdkit 1.32, which may die of a client that goes away.
  await startQemuNbd(cleanups, socket, [{ name: 'drive-scsi0', path: image, format: 'raw' }]);
  const backup = { storage, disks: [diskAt(socket, 256 * MIB)] };
  const running = await beginGuestBackup(client, backup);
  const worker = await daemon.connect();
  const failing = rejectsWith('E_CONNECTION_LOST', backupVm(worker, running.backupId, backup));
  await until('the backup writes', () => readdirSync(join(behind, 'vzvault/tmp')).length > 0);
  await freeze(bindfs.pid);
  worker.close();
  await failing;
  const beganMs = performance.now();
  await endGuestBackup(client, running, 'interrupted by signal');
  assert.ok(performance.now() - beganMs < 25_000);
  await client.call('daemon.ping', {});
  bindfs.child.kill('SIGCONT');
  await until('the storage answers again', () => answers(client, storage));
  assert.deepEqual(await volumesOf(client, storage), []);
  await backUpGuest(client, backup);
});

function answers(client: DaemonClient, storage: Storage): Promise<boolean> {
  return client.call('storage.status', { storage }).then(
    () => true,
    () => false,
  );
}

async function mountBindfs(cleanups: Cleanups, behind: string, path: string): Promise<Program> {
  const program = startProgram(cleanups, 'bindfs', ['-f', behind, path]);
  cleanups.add(() => {
    program.child.kill('SIGCONT');
    execFileSync('umount', ['-l', path]);
  });
  const isMounted = (): boolean => readFileSync('/proc/self/mountinfo', 'utf8').includes(` ${path} `);
  await until('bindfs has mounted', isMounted);
  return program;
}
