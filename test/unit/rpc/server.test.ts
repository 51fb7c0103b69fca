/** The server over real Unix sockets of the addon. */
import assert from 'node:assert/strict';
import { existsSync, statSync } from 'node:fs';
import { describe, it } from 'node:test';
import { pause } from '../../../src/lib/deadline.js';
import { type VzvaultError } from '../../../src/lib/errors.js';
import { rejectsWith } from '../../support/assertions.js';
import { until } from '../../support/processes.js';
import { codeOf, RawClient } from '../../support/rpc.js';
import { connect, serve, untilAborted } from '../../support/rpc-server.js';

const storage = { id: 'vault', path: '/mnt/vault', isMountpoint: '' };

describe('RpcServer', () => {
  it('shakes hands, answers, and leaves nothing behind', async (test) => {
    const { server, socketPath } = await serve(test);
    assert.equal(statSync(socketPath).mode & 0o777, 0o600);
    const client = await connect(socketPath);
    assert.deepEqual(client.daemon, { protocol: 1, daemon: '0.1.0' });
    assert.deepEqual(await client.call('daemon.ping', {}), { version: '0.1.0', pid: process.pid });
    client.close();
    await until('the connection is gone', () => server.connectionCount === 0);
    await server.stop();
    assert.equal(existsSync(socketPath), false);
  });

  it('tells handlers who calls', async (test) => {
    let seen: unknown;
    const { socketPath } = await serve(test, {
      'job.end': async (_, { peer }) => {
        seen = peer;
        return {};
      },
    });
    const client = await connect(socketPath);
    await client.call('job.end', { jobId: 'x' });
    assert.deepEqual(seen, { pid: process.pid, uid: process.getuid?.(), gid: process.getgid?.() });
    client.close();
  });

  it('answers 200 requests at once, on one connection and on many', async (test) => {
    const { socketPath } = await serve(test, {
      'job.end': async () => {
        await pause(20);
        return {};
      },
    });
    const one = await connect(socketPath);
    await Promise.all(Array.from({ length: 200 }, async (_, i) => one.call('job.end', { jobId: `j${i}` })));
    const many = await Promise.all(Array.from({ length: 100 }, async () => connect(socketPath)));
    await Promise.all(
      many.flatMap((client) => [client.call('daemon.ping', {}), client.call('job.end', { jobId: 'x' })]),
    );
    for (const client of [one, ...many]) client.close();
  });

  it('delivers log lines before the answer', async (test) => {
    const { socketPath } = await serve(test, {
      'job.end': async (_, context) => {
        for (let i = 0; i < 50; i += 1) context.log('info', `line ${i}`);
        return {};
      },
    });
    const lines: string[] = [];
    const client = await connect(socketPath, (level, message) => lines.push(`${level} ${message}`));
    await client.call('job.end', { jobId: 'x' });
    assert.deepEqual(
      lines,
      Array.from({ length: 50 }, (_, i) => `info line ${i}`),
    );
    client.close();
  });

  it('carries the largest configuration both ways', async (test) => {
    const largest = Buffer.alloc(8 * 1024 * 1024, 0xa5).toString('base64');
    const { socketPath } = await serve(test, {
      'backup.vm': async ({ configBase64 }) => {
        assert.equal(configBase64, largest);
        return { addedBytes: 2 ** 52, readBytes: 1, sizeBytes: 2 ** 40 };
      },
      'storage.readConfig': async () => ({ contentBase64: largest }),
    });
    const client = await connect(socketPath);
    const backup = {
      backupId: 'b',
      configBase64: largest,
      firewallBase64: null,
      bandwidthLimitBytesPerSecond: 0,
      disks: [],
    };
    assert.deepEqual(await client.call('backup.vm', backup), { addedBytes: 2 ** 52, readBytes: 1, sizeBytes: 2 ** 40 });
    const volume = 'backup/vzdump-qemu-100-2026_11_22-04_17_14.vzv';
    const config = await client.call('storage.readConfig', { storage, volume, name: 'guest.conf' });
    assert.equal(config.contentBase64, largest);
    client.close();
  });

  it('refuses wrong params and unknown methods, and lives on', async (test) => {
    const { socketPath } = await serve(test);
    const raw = await RawClient.greeted(socketPath);
    raw.send({ id: 2, method: 'job.end', params: { jobId: 7 } });
    assert.equal(codeOf(await raw.answered(2)), 'E_ARGUMENT_INVALID');
    raw.send({ id: 3, method: 'nonsense', params: {} });
    assert.equal(codeOf(await raw.answered(3)), 'E_METHOD_UNKNOWN');
    raw.send({ id: 4, method: 'constructor', params: {} });
    assert.equal(codeOf(await raw.answered(4)), 'E_METHOD_UNKNOWN');
    raw.send({ id: 5, method: 'hello', params: {} });
    assert.equal(codeOf(await raw.answered(5)), 'E_PROTOCOL_ORDER');
    raw.send({ id: 6, method: 'daemon.ping', params: {} });
    assert.deepEqual((await raw.answered(6))['result'], { version: '0.1.0', pid: process.pid });
    raw.close();
  });

  it('never sends an answer that breaks the contract', async (test) => {
    const { socketPath } = await serve(test, {
      'storage.status': async () => ({ totalBytes: -1, availableBytes: 0, usedBytes: 0 }),
    });
    const client = await connect(socketPath);
    assert.match((await rejectsWith('E_INTERNAL', client.call('storage.status', { storage }))).message, /totalBytes/);
    client.close();
  });

  it('answers E_STORAGE_TIMEOUT within 2 s although the handler hangs, and aborts it', async (test) => {
    const signals: AbortSignal[] = [];
    const { socketPath } = await serve(test, {
      'storage.status': async (_, { signal }) => {
        signals.push(signal);
        return untilAborted(signal);
      },
    });
    const client = await connect(socketPath);
    const begunMs = performance.now();
    await rejectsWith('E_STORAGE_TIMEOUT', client.call('storage.status', { storage }));
    assert.ok(performance.now() - begunMs < 2_000);
    assert.equal(signals[0]?.aborted, true);
    client.close();
  });

  it('keeps a deadline that the client gives', async (test) => {
    const { socketPath } = await serve(test, { 'job.end': async (_, { signal }) => untilAborted(signal) });
    const client = await connect(socketPath);
    await rejectsWith('E_DEADLINE', client.call('job.end', { jobId: 'x' }, { deadlineMs: 60 }));
    await client.call('daemon.ping', {});
    client.close();
  });

  it('aborts a handler when its caller cancels, and when its caller vanishes', async (test) => {
    const signals: AbortSignal[] = [];
    const { server, socketPath } = await serve(test, {
      'job.end': async (_, { signal }) => {
        signals.push(signal);
        return untilAborted(signal);
      },
    });
    const client = await connect(socketPath);
    const controller = new AbortController();
    const cancelled = client.call('job.end', { jobId: 'x' }, { signal: controller.signal });
    await until('the handler runs', () => signals.length === 1);
    controller.abort();
    await rejectsWith('E_CANCELLED', cancelled);
    await until('the handler is told', () => signals[0]?.aborted === true);

    const dropped = client.call('job.end', { jobId: 'x' });
    await until('the handler runs', () => signals.length === 2);
    client.close();
    await rejectsWith('E_CONNECTION_LOST', dropped);
    await until('the handler is told', () => signals[1]?.aborted === true);
    assert.equal((signals[1]?.reason as VzvaultError).code, 'E_CANCELLED');
    await until('the connection is gone', () => server.connectionCount === 0);
  });

  it('refuses connections beyond its bound with a reason, and recovers', async (test) => {
    const { server, socketPath } = await serve(test);
    const clients: RawClient[] = [];
    // In groups that fit into the socket's backlog: Node does not wait for a place in it, as the Perl client does.
    while (clients.length < 256) {
      clients.push(...(await Promise.all(Array.from({ length: 64 }, async () => RawClient.connect(socketPath)))));
      await until('they are there', () => server.connectionCount === clients.length);
    }
    const tooMany = await RawClient.connect(socketPath);
    assert.equal(codeOf(await tooMany.answered(0)), 'E_DAEMON_UNREACHABLE');
    await tooMany.closed();
    for (const client of clients) client.close();
    await until('all are gone', () => server.connectionCount === 0);
    const again = await connect(socketPath);
    again.close();
  });

  it('stops: running work is cancelled, new work refused, connections closed', async (test) => {
    const { server, socketPath } = await serve(test, { 'job.end': async (_, { signal }) => untilAborted(signal) });
    const client = await connect(socketPath);
    const running = client.call('job.end', { jobId: 'x' });
    await until('it runs', () => server.runningRequests === 1);
    const stopped = server.stop(100);
    await rejectsWith('E_DAEMON_STOPPING', client.call('daemon.ping', {}));
    await rejectsWith('E_DAEMON_STOPPING', running);
    await stopped;
    await rejectsWith('E_DAEMON_UNREACHABLE', connect(socketPath));
  });

  it('stops after waiting for work that ends by itself', async (test) => {
    const { server, socketPath } = await serve(test, {
      'job.end': async () => {
        await pause(150);
        return {};
      },
    });
    const client = await connect(socketPath);
    const running = client.call('job.end', { jobId: 'x' });
    await until('it runs', () => server.runningRequests === 1);
    await Promise.all([server.stop(5_000), running]);
  });
});
