import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { rpcLimits } from '../../../src/lib/limits.js';
import { encodeMessage, type PlainMap } from '../../../src/rpc/codec.js';
import { until } from '../../support/processes.js';
import { codeOf } from '../../support/rpc.js';
import { connected, refuseAll, stoppable, withRaw } from '../../support/rpc-peers.js';

describe('Peer, when the other end breaks the protocol', () => {
  const broken: [string, PlainMap[], string][] = [
    ['a response to nothing', [{ id: 5, result: {} }], 'E_PROTOCOL_ORDER'],
    ['an error to nothing', [{ id: 5, error: { code: 'E_INTERNAL', message: 'x' } }], 'E_PROTOCOL_ORDER'],
    ['an id twice', [1, 1].map((id) => ({ id, method: 'm', params: {} })), 'E_PROTOCOL_ORDER'],
    ['an id that falls', [5, 4].map((id) => ({ id, method: 'm', params: {} })), 'E_PROTOCOL_ORDER'],
    ['an envelope of nothing', [{}], 'E_FRAME_INVALID'],
    ['descriptors that did not come', [{ id: 1, method: 'm', params: {}, fds: 1 }], 'E_FRAME_INVALID'],
    [
      'more unanswered requests than allowed',
      Array.from({ length: rpcLimits.unansweredRequests + 1 }, (_, i) => ({ id: i + 1, method: 'm', params: {} })),
      'E_PROTOCOL_ORDER',
    ],
  ];
  for (const [what, messages, code] of broken) {
    it(`ends the connection after ${what}`, async () => {
      const { far, received, send } = withRaw(stoppable([]));
      for (const message of messages) send(message);
      assert.equal((await far.peer.ended)?.code, code);
      await until('the last message', () => received.some((message) => message['id'] === 0));
      assert.equal(codeOf(received.find((message) => message['id'] === 0) ?? {}), code);
    });
  }

  it('ends the connection after a second answer to one request', async () => {
    const { far, send } = withRaw(refuseAll);
    const answer = far.peer.request('m', {});
    send({ id: 1, result: { first: true } });
    send({ id: 1, result: { first: false } });
    assert.deepEqual(await answer, { first: true });
    assert.equal((await far.peer.ended)?.code, 'E_PROTOCOL_ORDER');
  });

  it('calls an end inside a frame E_FRAME_TORN', async () => {
    const { far, socket } = withRaw(refuseAll);
    void socket.send(encodeMessage({ id: 1, method: 'm', params: {} }).subarray(0, 9)).then(() => {
      socket.close();
    });
    assert.equal((await far.peer.ended)?.code, 'E_FRAME_TORN');
  });

  it('ignores unknown notifications and fields', async () => {
    const { far, received, send } = withRaw(async () => ({ fine: true }));
    send({ method: 'later.feature', params: { x: 1 } });
    send({ id: 1, method: 'm', params: {}, colour: 'red' });
    await until('the answer', () => received.length === 1);
    assert.deepEqual(far.notified, [{ kind: 'notification', method: 'later.feature', params: { x: 1 } }]);
  });
});

describe('Peer, descriptors', () => {
  it('hands each frame its own and closes those that nobody takes', async () => {
    const taken: number[][] = [];
    const { far, received, send } = withRaw(async (request) => {
      if (request.method === 'take') taken.push(request.takeFds());
      return {};
    });
    send({ id: 1, method: 'take', params: {}, fds: 2 }, [100, 101]);
    send({ id: 2, method: 'ignore', params: {}, fds: 1 }, [102]);
    send({ id: 3, method: 'take', params: {}, fds: 1 }, [103]);
    send({ id: 4, method: 'take', params: {} }, [104, 105]);
    await until('all answers', () => received.length === 4);
    assert.deepEqual(taken, [[100, 101], [103], []]);
    assert.deepEqual(far.closedFds.sort(), [102, 104, 105]);
  });

  it('keeps those of a frame that is still arriving', async () => {
    const taken: number[][] = [];
    const { far, socket, received } = withRaw(async (request) => {
      taken.push(request.takeFds());
      return {};
    });
    const frame = encodeMessage({ id: 1, method: 'm', params: {}, fds: 1 });
    void socket.send(frame.subarray(0, 5), [50]);
    void socket.send(frame.subarray(5));
    await until('the answer', () => received.length === 1);
    assert.deepEqual(taken, [[50]]);
    assert.deepEqual(far.closedFds, []);
  });

  it('closes all of them when the connection ends or breaks', async () => {
    const { far, socket } = withRaw(refuseAll);
    const frame = encodeMessage({ id: 1, method: 'm', params: {}, fds: 1 });
    void socket.send(frame.subarray(0, 5), [60, 61]).then(() => {
      socket.close();
    });
    await far.peer.ended;
    assert.deepEqual(far.closedFds, [60, 61]);
    const flooded = withRaw(refuseAll);
    const many = Array.from({ length: rpcLimits.fds + 1 }, (_, i) => i + 70);
    void flooded.socket.send(frame.subarray(0, 5), many);
    assert.equal((await flooded.far.peer.ended)?.code, 'E_FRAME_INVALID');
    assert.deepEqual(flooded.far.closedFds, many);
  });
});

describe('Peer, with a peer that reads slowly', () => {
  const line = 'x'.repeat(4_096);

  it('stops reading while much waits, and goes on when it is gone', async () => {
    const { far, sockets } = connected(refuseAll);
    const [near, farSocket] = sockets;
    near?.stick(true);
    for (let i = 0; i < 1_100; i += 1) far.peer.notify('log', { level: 'info', message: line, request: 1 });
    assert.equal(farSocket?.isPaused, true);
    near?.stick(false);
    await until('reading goes on', () => !farSocket?.isPaused);
    assert.equal(far.peer.isOpen, true);
  });

  it('gives a peer up that does not read at all', async () => {
    const { far, sockets } = connected(refuseAll);
    sockets[0]?.stick(true);
    for (let i = 0; i < 17_000 && far.peer.isOpen; i += 1) {
      far.peer.notify('log', { level: 'info', message: line, request: 1 });
    }
    assert.equal(far.peer.isOpen, false);
    assert.equal((await far.peer.ended)?.code, 'E_CONNECTION_LOST');
  });
});
