/** The caller dies in the middle of a message. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createConnection } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { encodeMessage } from '../../src/rpc/codec.js';
import {
  backupVm,
  beginGuestBackup,
  createStorage,
  diskAt,
  endGuestBackup,
  TestDaemon,
  volumesOf,
} from '../support/daemon.js';
import { startNbdkit } from '../support/nbd-servers.js';
import { cleanupsOf } from '../support/temp.js';

const MIB = 1024 * 1024;

test('a request that is cut short does nothing, wherever it is cut', async (t) => {
  const cleanups = cleanupsOf(t);
  const directory = cleanups.directory();
  const socket = join(directory, 'nbd.sock');
  await startNbdkit(cleanups, socket, ['memory', '1M']);
  const daemon = await TestDaemon.start(cleanups, { directory });
  const client = await daemon.connect();
  const storage = await createStorage(client, join(directory, 'store'));
  const backup = { storage, disks: [diskAt(socket, MIB)] };
  const running = await beginGuestBackup(client, backup);

  const hello = { id: 1, method: 'hello', params: { protocolMin: 1, protocolMax: 1, client: 'test/0' } };
  const request = encodeMessage({
    id: 2,
    method: 'backup.vm',
    params: {
      backupId: running.backupId,
      configBase64: '',
      firewallBase64: null,
      bandwidthLimitBytesPerSecond: 0,
      disks: [],
    },
  });
  for (const cut of [1, 4, 5, Math.floor(request.length / 2), request.length - 1]) {
    const connection = createConnection(daemon.socketPath);
    connection.write(encodeMessage(hello));
    await once(connection, 'data');
    connection.write(request.subarray(0, cut));
    connection.end();
    connection.resume();
    await once(connection, 'close');
  }
  assert.deepEqual(await volumesOf(client, storage), []);
  await backupVm(client, running.backupId, backup);
  await endGuestBackup(client, running, null);
  assert.deepEqual(await volumesOf(client, storage), [running.volume]);
});
