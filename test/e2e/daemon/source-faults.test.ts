/** Disks that lie, fail, die or stall: the backup ends with one clear line, the daemon lives on, the next backup succeeds. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { test, type TestContext } from 'node:test';
import type { DaemonClient } from '../../../src/rpc/client.js';
import type { Storage } from '../../../src/rpc/contract.js';
import { type ErrorCode } from '../../../src/lib/errors.js';
import { rejectsWith } from '../../support/assertions.js';
import { backUpGuest, createStorage, type Disk, diskAt, TestDaemon, volumesOf } from '../../support/daemon.js';
import { startNbdkit } from '../../support/nbd-servers.js';
import type { Program } from '../../support/processes.js';
import { cleanupsOf } from '../../support/temp.js';

const MIB = 1024 * 1024;
const sizeBytes = 32 * MIB;
const pattern = ['pattern', `size=${sizeBytes}`];

interface Setup {
  readonly client: DaemonClient;
  readonly storage: Storage;
  readonly directory: string;
  /** Starts nbdkit and answers its disk. */
  readonly serve: (args: readonly string[]) => Promise<{ disk: Disk; program: Program }>;
}

async function setUp(t: TestContext, env: Readonly<Record<string, string>> = {}): Promise<Setup> {
  const cleanups = cleanupsOf(t);
  const directory = cleanups.directory();
  const daemon = await TestDaemon.start(cleanups, { directory, env });
  const client = await daemon.connect();
  const storage = await createStorage(client, join(directory, 'store'));
  let servers = 0;
  const serve: Setup['serve'] = async (args) => {
    servers += 1;
    const socket = join(directory, `nbd-${servers}.sock`);
    return { program: await startNbdkit(cleanups, socket, args), disk: diskAt(socket, sizeBytes) };
  };
  return { client, storage, directory, serve };
}

/** The backup fails with the code, nothing of it is listed, and a healthy disk goes in afterwards. */
async function failsAlone(setup: Setup, disk: Disk, code: ErrorCode): Promise<void> {
  const { client, storage, serve } = setup;
  const error = await rejectsWith(code, backUpGuest(client, { storage, disks: [disk] }));
  assert.match(error.message, new RegExp(disk.device), 'the message names the disk');
  assert.doesNotMatch(error.line, /\n/);
  assert.deepEqual(await volumesOf(client, storage), []);
  const healthy = await serve(pattern);
  const { volume } = await backUpGuest(client, { storage, disks: [healthy.disk] });
  assert.deepEqual(await volumesOf(client, storage), [volume]);
}

test('nobody listens on the socket', async (t) => {
  const setup = await setUp(t);
  await failsAlone(setup, diskAt(join(setup.directory, 'absent.sock'), sizeBytes), 'E_SOURCE_UNREACHABLE');
});

test('the socket is a file', async (t) => {
  const setup = await setUp(t);
  const path = join(setup.directory, 'file');
  writeFileSync(path, '');
  await failsAlone(setup, diskAt(path, sizeBytes), 'E_SOURCE_UNREACHABLE');
});

test('the disk is smaller or larger than announced', async (t) => {
  for (const otherBytes of [sizeBytes - 512, sizeBytes + 512]) {
    const setup = await setUp(t);
    const { disk } = await setup.serve(['pattern', `size=${otherBytes}`]);
    await failsAlone(setup, disk, 'E_SOURCE_SIZE');
  }
});

test('every read fails', async (t) => {
  const setup = await setUp(t);
  const { disk } = await setup.serve(['--filter=error', ...pattern, 'error-pread=EIO', 'error-pread-rate=100%']);
  await failsAlone(setup, disk, 'E_SOURCE_READ');
});

test('one read in twenty fails', async (t) => {
  const setup = await setUp(t);
  const { disk } = await setup.serve([
    '--filter=blocksize',
    '--filter=error',
    ...pattern,
    'maxlen=64k',
    'error-pread=EIO',
    'error-pread-rate=5%',
  ]);
  await failsAlone(setup, disk, 'E_SOURCE_READ');
});

test('the server dies in the middle', async (t) => {
  const setup = await setUp(t);
  const { disk, program } = await setup.serve(['--filter=rate', ...pattern, 'rate=32M']);
  const failing = failsAlone(setup, disk, 'E_SOURCE_READ');
  await sleep(500);
  program.child.kill('SIGKILL');
  await failing;
});

test('the server stalls', async (t) => {
  const setup = await setUp(t, { VZVAULT_STALL_TIMEOUT_SECONDS: '2' });
  const { disk } = await setup.serve(['--filter=delay', ...pattern, 'delay-read=60']);
  const beganMs = performance.now();
  await failsAlone(setup, disk, 'E_SOURCE_STALLED');
  assert.ok(performance.now() - beganMs < 15_000);
});

test('a slow server is no stalled one', async (t) => {
  const { client, storage, serve } = await setUp(t, { VZVAULT_STALL_TIMEOUT_SECONDS: '2' });
  const { disk } = await serve(['--filter=delay', ...pattern, 'delay-read=300ms']);
  await backUpGuest(client, { storage, disks: [disk] });
});

test('the second disk of a guest fails: the first is not kept as a snapshot', async (t) => {
  const setup = await setUp(t);
  const good = await setup.serve(pattern);
  const bad = await setup.serve(['--filter=error', ...pattern, 'error-pread=EIO', 'error-pread-rate=100%']);
  const disks = [good.disk, { ...bad.disk, device: 'drive-scsi1' }];
  const { client, storage } = setup;
  await rejectsWith('E_SOURCE_READ', backUpGuest(client, { storage, disks }));
  assert.deepEqual(await volumesOf(client, storage), []);
});
