/** What becomes of backups and restores when daemons, owners and connections come and go. */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { createConnection } from 'node:net';
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
  TestDaemon,
  volumesOf,
} from '../../support/daemon.js';
import { assertSameBytes, makeImage } from '../../support/images.js';
import { startQemuNbd, type QemuNbdOptions } from '../../support/nbd-servers.js';
import { startProgram, until } from '../../support/processes.js';
import { projectRoot } from '../../support/project.js';
import { cleanupsOf, mountPointsBelow, type Cleanups } from '../../support/temp.js';

const MIB = 1024 * 1024;
const sizeBytes = 32 * MIB;

interface Setup {
  readonly cleanups: Cleanups;
  readonly directory: string;
  readonly daemon: TestDaemon;
  readonly client: DaemonClient;
  readonly storage: Storage;
  readonly image: string;
  readonly socket: string;
}

async function setUp(t: TestContext, qemu: QemuNbdOptions = {}): Promise<Setup> {
  const cleanups = cleanupsOf(t);
  const directory = cleanups.directory();
  const image = join(directory, 'disk.raw');
  makeImage(image, sizeBytes, [{ offset: 0, lengthBytes: 20 * MIB }]);
  const socket = join(directory, 'nbd.sock');
  await startQemuNbd(cleanups, socket, [{ name: 'drive-scsi0', path: image, format: 'raw' }], qemu);
  const daemon = await TestDaemon.start(cleanups, { directory });
  const client = await daemon.connect();
  const storage = await createStorage(client, join(directory, 'store'));
  return { cleanups, directory, daemon, client, storage, image, socket };
}

const slow = { readBytesPerSecond: 5 * MIB };

test('a stopping daemon cancels the running backup with nothing committed', async (t) => {
  const { cleanups, directory, daemon, client, storage, socket } = await setUp(t, slow);
  const backup = { storage, disks: [diskAt(socket, sizeBytes)] };
  const { backupId } = await beginGuestBackup(client, backup);
  const running = rejectsWith('E_DAEMON_STOPPING', backupVm(client, backupId, backup));
  await new Promise((resolve) => setTimeout(resolve, 500));
  daemon.program.child.kill('SIGTERM');
  await running;
  assert.equal(await daemon.program.ended, 0);
  const next = await TestDaemon.start(cleanups, { directory });
  const again = await next.connect();
  assert.deepEqual(await volumesOf(again, storage), []);
  await rejectsWith('E_SESSION_UNKNOWN', backupVm(again, backupId, backup));
  await backUpGuest(again, backup);
});

test('a connection that is cut cancels its backup; the session can be ended and the guest backed up again', async (t) => {
  const { daemon, client, storage, socket } = await setUp(t, slow);
  const backup = { storage, disks: [diskAt(socket, sizeBytes)] };
  const { backupId } = await beginGuestBackup(client, backup);
  const other = await daemon.connect();
  const running = rejectsWith('E_CONNECTION_LOST', backupVm(other, backupId, backup));
  await new Promise((resolve) => setTimeout(resolve, 500));
  other.close();
  await running;
  await until('the backup has failed', () => daemon.program.output().includes('backup failed'));
  await client.call('backup.end', { backupId, success: false, error: 'interrupted by signal' });
  assert.deepEqual(await volumesOf(client, storage), []);
  assert.deepEqual(readdirSync(join(storage.path, 'vzvault/tmp')), []);
  await backUpGuest(client, backup);
});

test('the sessions of a process that is gone are ended', async (t) => {
  const { cleanups, daemon, storage } = await setUp(t);
  // Another process opens the job: the client of this test, in a child.
  const script = `
    const { DaemonClient } = await import(process.argv[1]);
    const client = await DaemonClient.connect({ socketPath: process.argv[2], client: 'test/0' });
    await client.call('job.begin', { storage: JSON.parse(process.argv[3]), startTimeSeconds: 1 });
    process.stdout.write('begun');
    setInterval(() => undefined, 1000);`;
  const module = join(import.meta.dirname, '../../../src/rpc/client.js');
  const args = ['--input-type=module', '-e', script, module, daemon.socketPath, JSON.stringify(storage)];
  const owner = startProgram(cleanups, process.execPath, args);
  await until('the job has begun', () => owner.output() === 'begun');
  await owner.stop('SIGKILL');
  await until('the job is swept', () => daemon.program.output().includes('its owner is gone'), 10_000);
});

test('a restore goes on over a restart of the daemon, however the first one ended', async (t) => {
  const { cleanups, directory, daemon: first, client, storage, image, socket } = await setUp(t);
  const { volume } = await backUpGuest(client, { storage, disks: [diskAt(socket, sizeBytes)] });
  const { restoreId } = await client.call('restore.begin', { storage, volume });
  const { path } = await client.call('restore.openDisk', { restoreId, device: 'drive-scsi0' });
  assert.equal(statSync(path).size, sizeBytes);
  let daemon = first;
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    await daemon.stop(signal);
    await assertSameBytes(image, path);
    daemon = await TestDaemon.start(cleanups, { directory });
  }
  const again = await daemon.connect();
  assert.deepEqual(await again.call('restore.openDisk', { restoreId, device: 'drive-scsi0' }), { path });
  await assertSameBytes(image, path);
  await again.call('restore.closeDisk', { restoreId, device: 'drive-scsi0' });
  await again.call('restore.end', { restoreId });
  await again.call('restore.end', { restoreId });
  assert.deepEqual(mountPointsBelow(daemon.runDirectory), []);
  assert.deepEqual(readdirSync(join(daemon.runDirectory, 'mounts')), []);
});

test('mounts whose owner is gone are cleaned up when a daemon starts', async (t) => {
  const { cleanups, directory, daemon, client, storage, socket } = await setUp(t);
  const { volume } = await backUpGuest(client, { storage, disks: [diskAt(socket, sizeBytes)] });
  const script = `
    const { DaemonClient } = await import(process.argv[1]);
    const client = await DaemonClient.connect({ socketPath: process.argv[2], client: 'test/0' });
    const begun = await client.call('restore.begin', JSON.parse(process.argv[3]));
    await client.call('restore.openDisk', { restoreId: begun.restoreId, device: 'drive-scsi0' });
    process.stdout.write('opened');
    setInterval(() => undefined, 1000);`;
  const module = join(import.meta.dirname, '../../../src/rpc/client.js');
  const params = JSON.stringify({ storage, volume });
  const owner = startProgram(cleanups, process.execPath, [
    '--input-type=module',
    '-e',
    script,
    module,
    daemon.socketPath,
    params,
  ]);
  await until('the disk is open', () => owner.output() === 'opened');
  assert.equal(mountPointsBelow(daemon.runDirectory).length, 1);
  const [state = ''] = readdirSync(join(daemon.runDirectory, 'mounts')).filter((name) => name.endsWith('.json'));
  const { mountProcess } = JSON.parse(readFileSync(join(daemon.runDirectory, 'mounts', state), 'utf8')) as {
    mountProcess: { pid: number };
  };
  await daemon.stop('SIGKILL');
  await owner.stop('SIGKILL');
  const next = await TestDaemon.start(cleanups, { directory });
  await until('the mount is gone', () => mountPointsBelow(next.runDirectory).length === 0);
  await until('the directory is empty', () => readdirSync(join(next.runDirectory, 'mounts')).length === 0);
  await until('vzvault-fuse has ended', () => !existsSync(`/proc/${mountProcess.pid}`));
});

test('a vzvault-fuse that was killed is reported, and its restore still ends', async (t) => {
  const { daemon, client, storage, socket } = await setUp(t);
  const { volume } = await backUpGuest(client, { storage, disks: [diskAt(socket, sizeBytes)] });
  const { restoreId } = await client.call('restore.begin', { storage, volume });
  await client.call('restore.openDisk', { restoreId, device: 'drive-scsi0' });
  const state = JSON.parse(readFileSync(join(daemon.runDirectory, 'mounts', `${restoreId}.json`), 'utf8')) as {
    mountProcess: { pid: number };
  };
  process.kill(state.mountProcess.pid, 'SIGKILL');
  await until('it has ended', () => !existsSync(`/proc/${state.mountProcess.pid}`));
  await rejectsWith('E_MOUNT_FAILED', client.call('restore.openDisk', { restoreId, device: 'drive-scsi0' }));
  await client.call('restore.end', { restoreId });
  assert.deepEqual(mountPointsBelow(daemon.runDirectory), []);
  assert.deepEqual(readdirSync(join(daemon.runDirectory, 'mounts')), []);
});

test('a second daemon does not take the socket of one that runs; a stale socket is taken', async (t) => {
  const { cleanups, directory, daemon } = await setUp(t);
  const second = startProgram(cleanups, join(projectRoot, 'build/bin/vzvaultd'), [], { env: daemon.environment });
  assert.equal(await second.ended, 1);
  assert.match(second.output(), /E_NAME_TAKEN/);
  await daemon.connect();
  await daemon.stop('SIGKILL');
  assert.ok(existsSync(daemon.socketPath));
  const third = await TestDaemon.start(cleanups, { directory });
  await third.connect();
  assert.equal(statSync(third.socketPath).mode & 0o777, 0o600);
});

test('rubbish on the socket ends that connection and nothing else', async (t) => {
  const { client, daemon } = await setUp(t);
  for (const bytes of [Buffer.alloc(4, 0xff), Buffer.from('GET / HTTP/1.1\r\n\r\n'), Buffer.from([0, 0, 0, 1, 0xc1])]) {
    const socket = createConnection(daemon.socketPath);
    socket.write(bytes);
    socket.resume();
    await once(socket, 'close');
  }
  await client.call('daemon.ping', {});
});

test('a user who is not root is refused', async (t) => {
  const { client, daemon, directory } = await setUp(t);
  // The modes alone would keep him out already; this is about the check of the peer.
  execFileSync('chmod', ['-R', 'a+rwX', daemon.runDirectory, directory]);
  const script = `const s = require('node:net').createConnection(process.argv[1]);
    s.on('data', (d) => process.stdout.write(d)); s.on('close', () => process.exit()); s.on('error', () => process.exit());`;
  const child = spawn('setpriv', [
    '--reuid=65534',
    '--clear-groups',
    process.execPath,
    '-e',
    script,
    daemon.socketPath,
  ]);
  const [answer] = (await once(child.stdout, 'data')) as [Buffer];
  assert.match(answer.toString('latin1'), /E_PEER_DENIED/);
  await client.call('daemon.ping', {});
});
