import assert from 'node:assert/strict';
import { describe, it, mock } from 'node:test';
import { VzvaultError } from '../../../src/lib/errors.js';
import { serverLimits } from '../../../src/lib/limits.js';
import type { IncomingRequest } from '../../../src/rpc/incoming-calls.js';
import { rejectsWith } from '../../support/assertions.js';
import { MemorySocket } from '../../support/memory-socket.js';
import { until } from '../../support/processes.js';
import { codeOf } from '../../support/rpc.js';
import { connected, hanging, makeEnd, refuseAll, stoppable, withRaw } from '../../support/rpc-peers.js';

describe('Peer', () => {
  it('answers in whatever order the handlers end', async () => {
    const resolvers: (() => void)[] = [];
    const { near } = connected(
      async ({ params }) =>
        new Promise((resolve) => {
          resolvers.push(() => {
            resolve({ echo: params['n'] });
          });
        }),
    );
    const answers = [1, 2, 3].map(async (n) => near.peer.request('m', { n }));
    await until('three requests', () => resolvers.length === 3);
    for (const resolve of resolvers.reverse()) resolve();
    assert.deepEqual(await Promise.all(answers), [{ echo: 1 }, { echo: 2 }, { echo: 3 }]);
  });

  it('calls in both directions, also from within a handler', async () => {
    const { near, far } = connected(
      async () => far.peer.request('back', { a: 1 }),
      async ({ method, params }) => ({ method, ...params }),
    );
    assert.deepEqual(await near.peer.request('there', {}), { method: 'back', a: 1 });
  });

  it('carries errors with their code, and defects as E_INTERNAL', async () => {
    const { near } = connected(async ({ method }) => {
      if (method === 'full') throw new VzvaultError('E_NO_SPACE', 'writing x: no space left');
      throw new TypeError('oops');
    });
    const full = await rejectsWith('E_NO_SPACE', near.peer.request('full', {}));
    assert.equal(full.message, 'writing x: no space left');
    assert.match((await rejectsWith('E_INTERNAL', near.peer.request('bug', {}))).message, /oops/);
  });

  it('answers with an error where the answer itself cannot be sent', async () => {
    const { near } = connected(async ({ method }) =>
      method === 'large' ? { a: 'x'.repeat(9_000_000), b: 'x'.repeat(9_000_000) } : { bytes: Buffer.from('x') },
    );
    await rejectsWith('E_FRAME_TOO_LARGE', near.peer.request('large', {}));
    await rejectsWith('E_INTERNAL', near.peer.request('bytes', {}));
    assert.equal(near.peer.isOpen, true);
  });

  it('sends log lines before the answer, on one line, for the request that they belong to', async () => {
    const { near } = connected(async (request) => {
      request.log('warn', 'two\nlines');
      setTimeout(() => {
        request.log('info', 'too late');
      }, 5);
      return {};
    });
    let linesBefore = -1;
    await near.peer.request('m', {}).then(() => (linesBefore = near.notified.length));
    assert.equal(linesBefore, 1);
    await new Promise((resolve) => setTimeout(resolve, 30));
    assert.deepEqual(near.notified, [
      { kind: 'notification', method: 'log', params: { level: 'warn', message: 'two lines', request: 1 } },
    ]);
  });

  it('answers E_DEADLINE in time although the handler hangs, and aborts it', async () => {
    const seen: IncomingRequest[] = [];
    const { near } = connected(hanging(seen));
    const begunMs = performance.now();
    await rejectsWith('E_DEADLINE', near.peer.request('m', {}, { deadlineMs: 50 }));
    assert.ok(performance.now() - begunMs < 500);
    assert.equal((seen[0]?.signal.reason as VzvaultError).code, 'E_DEADLINE');
    assert.equal(near.peer.isOpen, true);
  });

  it('waits a little longer than the deadline for the answer, then gives up by itself', async () => {
    mock.timers.enable({ apis: ['setTimeout'] });
    try {
      const [a] = MemorySocket.pair();
      const near = makeEnd(a, refuseAll);
      const answer = near.peer.request('m', {}, { deadlineMs: 5_000 });
      const checked = rejectsWith('E_DEADLINE', answer);
      mock.timers.tick(5_000);
      await new Promise((resolve) => setImmediate(resolve));
      assert.equal(near.peer.isOpen, true);
      mock.timers.tick(1_001);
      await checked;
    } finally {
      mock.timers.reset();
    }
  });

  it('cancels the work of a request whose caller gives up, and drops its late answer', async () => {
    const seen: IncomingRequest[] = [];
    const { near } = connected(stoppable(seen));
    const controller = new AbortController();
    const answer = near.peer.request('m', {}, { signal: controller.signal });
    await until('the request arrived', () => seen.length === 1);
    controller.abort();
    await rejectsWith('E_CANCELLED', answer);
    await until('the handler is told', () => seen[0]?.signal.aborted === true);
    assert.equal((seen[0]?.signal.reason as VzvaultError).code, 'E_CANCELLED');
    await new Promise((resolve) => setTimeout(resolve, 20));
    assert.equal(near.peer.isOpen, true);
    await rejectsWith('E_CANCELLED', near.peer.request('m', {}, { signal: controller.signal }));
    assert.equal(seen.length, 1);
  });

  it('answers a cancelled request with what its handler still achieved', async () => {
    const { received, send } = withRaw(
      async ({ signal }) =>
        new Promise((resolve) => {
          signal.addEventListener('abort', () => {
            resolve({ committed: true });
          });
        }),
    );
    send({ id: 1, method: 'm', params: {} });
    send({ method: 'cancel', params: { id: 1 } });
    send({ method: 'cancel', params: { id: 77 } });
    send({ method: 'cancel', params: {} });
    await until('the answer', () => received.length === 1);
    assert.deepEqual(received, [{ id: 1, result: { committed: true } }]);
  });

  it('answers E_CANCELLED for a cancelled handler that hangs', async () => {
    mock.timers.enable({ apis: ['setTimeout'] });
    try {
      const seen: IncomingRequest[] = [];
      const { received, send } = withRaw(hanging(seen));
      send({ id: 1, method: 'm', params: {} });
      send({ method: 'cancel', params: { id: 1 } });
      for (let i = 0; i < 5; i += 1) await new Promise((resolve) => setImmediate(resolve));
      assert.equal(seen[0]?.signal.aborted, true);
      mock.timers.tick(serverLimits.cancelGraceMs + 1);
      for (let i = 0; i < 5; i += 1) await new Promise((resolve) => setImmediate(resolve));
      assert.equal(codeOf(received[0] ?? {}), 'E_CANCELLED');
    } finally {
      mock.timers.reset();
    }
  });

  it('aborts handlers and rejects requests when the connection ends', async () => {
    const seen: IncomingRequest[] = [];
    const { near, far } = connected(stoppable(seen), stoppable([]));
    const there = near.peer.request('m', {});
    const back = far.peer.request('m', {});
    await until('the request arrived', () => seen.length === 1);
    near.peer.end();
    await rejectsWith('E_CONNECTION_LOST', there);
    await rejectsWith('E_CONNECTION_LOST', back);
    assert.equal(await far.peer.ended, null);
    assert.equal((seen[0]?.signal.reason as VzvaultError).code, 'E_CANCELLED');
    await rejectsWith('E_CONNECTION_LOST', near.peer.request('m', {}));
    near.peer.notify('n', {});
  });

  it('ends only after its handlers have settled', async () => {
    let finish = (): void => undefined;
    const { near, far } = connected(
      async () =>
        new Promise((resolve) => {
          finish = () => {
            resolve({});
          };
        }),
    );
    void near.peer.request('m', {}).catch(() => undefined);
    await until('the request arrived', () => far.peer.runningRequests === 1);
    near.peer.end();
    let hasEnded = false;
    void far.peer.ended.then(() => (hasEnded = true));
    await new Promise((resolve) => setTimeout(resolve, 30));
    assert.equal(hasEnded, false);
    finish();
    await far.peer.ended;
  });

  it('tells the other end why it leaves', async () => {
    const { near, far } = connected(hanging([]));
    const answer = near.peer.request('m', {});
    far.peer.end(new VzvaultError('E_DAEMON_STOPPING', 'vzvaultd is stopping'));
    await rejectsWith('E_DAEMON_STOPPING', answer);
    assert.equal((await near.peer.ended)?.code, 'E_DAEMON_STOPPING');
  });
});
