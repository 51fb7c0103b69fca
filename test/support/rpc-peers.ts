/** Peers in tests, without a kernel between them. */
import { VzvaultError } from '../../src/lib/errors.js';
import { silentLogger } from '../../src/lib/logger.js';
import { decodeBody, encodeMessage, type PlainMap } from '../../src/rpc/codec.js';
import { FrameDecoder } from '../../src/rpc/framing.js';
import type { Dispatch, IncomingRequest } from '../../src/rpc/incoming-calls.js';
import type { NotificationMessage } from '../../src/rpc/message.js';
import { Peer } from '../../src/rpc/peer.js';
import { MemorySocket } from './memory-socket.js';

export interface End {
  readonly peer: Peer;
  readonly notified: NotificationMessage[];
  readonly closedFds: number[];
}

export function makeEnd(socket: MemorySocket, dispatch: Dispatch): End {
  const notified: NotificationMessage[] = [];
  const closedFds: number[] = [];
  const peer = new Peer({
    socket,
    logger: silentLogger(),
    dispatch,
    onNotification: (message) => notified.push(message),
    closeFd: (fd) => closedFds.push(fd),
  });
  peer.start();
  return { peer, notified, closedFds };
}

export const refuseAll: Dispatch = async ({ method }) => Promise.reject(new VzvaultError('E_METHOD_UNKNOWN', method));

/** Two peers; `dispatch` answers for the second. */
export function connected(
  dispatch: Dispatch,
  dispatchBack: Dispatch = refuseAll,
): { near: End; far: End; sockets: MemorySocket[] } {
  const [a, b] = MemorySocket.pair();
  return { near: makeEnd(a, dispatchBack), far: makeEnd(b, dispatch), sockets: [a, b] };
}

/** A peer, and on the other end whoever sends messages as the test likes. */
export function withRaw(dispatch: Dispatch): {
  far: End;
  socket: MemorySocket;
  received: PlainMap[];
  send: (message: PlainMap, fds?: number[]) => void;
} {
  const [raw, b] = MemorySocket.pair();
  const received: PlainMap[] = [];
  const decoder = new FrameDecoder();
  raw.start({
    onData: (bytes) => {
      for (const body of decoder.push(bytes)) received.push(decodeBody(body));
    },
    onClose: () => undefined,
  });
  return {
    far: makeEnd(b, dispatch),
    socket: raw,
    received,
    send: (message, fds) => void raw.send(encodeMessage(message), fds),
  };
}

/** Never answers; records the signals. */
export function hanging(seen: IncomingRequest[]): Dispatch {
  return async (request) => {
    seen.push(request);
    return new Promise(() => undefined);
  };
}

export function stoppable(seen: IncomingRequest[]): Dispatch {
  return async (request) => {
    seen.push(request);
    return new Promise((_, reject) => {
      request.signal.addEventListener('abort', () => {
        reject(request.signal.reason as Error);
      });
    });
  };
}
