/** Connections that break the protocol, over real Unix sockets of the addon: told why, closed, and nobody else harmed. */
import assert from 'node:assert/strict';
import { readdirSync, readlinkSync } from 'node:fs';
import { describe, it } from 'node:test';
import { abortReason, pause } from '../../../src/lib/deadline.js';
import { encodeMessage } from '../../../src/rpc/codec.js';
import { until } from '../../support/processes.js';
import { codeOf, helloRequest, RawClient } from '../../support/rpc.js';
import { connect, serve } from '../../support/rpc-server.js';

describe('a connection that misbehaves', () => {
  const cases: [string, Buffer, string][] = [
    ['a frame that is too large', Buffer.from([0xff, 0xff, 0xff, 0xff]), 'E_FRAME_TOO_LARGE'],
    ['an empty frame', Buffer.from([0, 0, 0, 0]), 'E_FRAME_INVALID'],
    ['garbage', Buffer.from('\0\0\0\u0010GET / HTTP/1.1\r\n'), 'E_FRAME_INVALID'],
    ['a request before hello', encodeMessage({ id: 1, method: 'daemon.ping', params: {} }), 'E_PROTOCOL_ORDER'],
    ['a notification before hello', encodeMessage({ method: 'cancel', params: { id: 1 } }), 'E_PROTOCOL_ORDER'],
    ['a response before hello', encodeMessage({ id: 1, result: {} }), 'E_PROTOCOL_ORDER'],
  ];
  for (const [what, bytes, code] of cases) {
    it(`is told ${code} and closed after ${what}, and harms nobody`, async (test) => {
      const { server, socketPath } = await serve(test);
      const good = await connect(socketPath);
      const bad = await RawClient.connect(socketPath);
      bad.write(bytes);
      assert.equal(codeOf(await bad.answered(0)), code);
      await bad.closed();
      await good.call('daemon.ping', {});
      good.close();
      await until('both are gone', () => server.connectionCount === 0);
    });
  }

  it('is told both version ranges when they do not meet', async (test) => {
    const { socketPath } = await serve(test);
    const raw = await RawClient.connect(socketPath);
    raw.send(helloRequest({ protocolMin: 2, protocolMax: 3 }));
    const answer = await raw.answered(1);
    assert.equal(codeOf(answer), 'E_PROTOCOL_VERSION');
    assert.match(JSON.stringify(answer), /protocol 2 to 3, vzvaultd 0\.1\.0 1 to 1/);
    await raw.closed();
    const wide = await RawClient.connect(socketPath);
    wide.send(helloRequest({ protocolMin: 1, protocolMax: 9, later: 'field' }));
    assert.deepEqual((await wide.answered(1))['result'], { protocol: 1, daemon: '0.1.0' });
    wide.close();
    const wrong = await RawClient.connect(socketPath);
    wrong.send(helloRequest({ protocolMin: 'x' }));
    assert.equal(codeOf(await wrong.answered(1)), 'E_ARGUMENT_INVALID');
    await wrong.closed();
  });

  it('may be torn anywhere', async (test) => {
    const { server, socketPath } = await serve(test);
    const stream = Buffer.concat([
      encodeMessage(helloRequest()),
      encodeMessage({ id: 2, method: 'daemon.ping', params: {} }),
    ]);
    for (let length = 0; length <= stream.length; length += 3) {
      const raw = await RawClient.connect(socketPath);
      raw.write(stream.subarray(0, length));
      raw.socket.end();
    }
    await until('all are gone', () => server.connectionCount === 0);
    const good = await connect(socketPath);
    await good.call('daemon.ping', {});
    good.close();
  });

  it('costs bounded memory while it reads nothing, and is given up', async (test) => {
    let lines = 0;
    const { server, socketPath } = await serve(test, {
      'job.end': async (_, { log, signal }) => {
        while (!signal.aborted) {
          for (let i = 0; i < 100; i += 1) log('info', 'x'.repeat(4_096));
          lines += 100;
          await pause(1);
        }
        throw abortReason(signal);
      },
    });
    const raw = await RawClient.greeted(socketPath);
    raw.socket.pause();
    raw.send({ id: 2, method: 'job.end', params: { jobId: 'x' } });
    await until('it is given up', () => server.connectionCount === 0);
    assert.ok(lines < 20_000, `${lines} lines`);
    raw.close();
  });

  it('leaks no descriptor', async (test) => {
    const { server, socketPath } = await serve(test);
    const openSockets = (): number =>
      readdirSync('/proc/self/fd').filter((fd) => {
        try {
          return readlinkSync(`/proc/self/fd/${fd}`).startsWith('socket:');
        } catch {
          return false;
        }
      }).length;
    const before = openSockets();
    for (let i = 0; i < 100; i += 1) {
      const raw = await RawClient.connect(socketPath);
      raw.write(i % 2 === 0 ? Buffer.from([0xff, 0xff, 0xff, 0xff]) : encodeMessage(helloRequest()));
      if (i % 3 === 0) raw.socket.end();
      else await raw.answered(i % 2 === 0 ? 0 : 1);
      raw.close();
    }
    await until('all are gone', () => server.connectionCount === 0);
    await until('their sockets are closed', () => openSockets() <= before);
  });
});
