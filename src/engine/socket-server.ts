/** The listening Unix socket and its connections over the addon. */
import { awaitNative, callNative, type ConnectionHandle } from './addon.js';
import { requireInteger, requirePath } from './arguments.js';
import type { PeerCredentials, PeerSocket, SocketServer } from './types.js';

/**
 * Listens at `path` (mode 0600). Rejects with E_NAME_TAKEN where somebody answers there already, or something other than a
 * socket lies there; a socket that nobody answers on is replaced.
 */
export async function listen(path: string, onConnection: (socket: PeerSocket) => void): Promise<SocketServer> {
  const handle = await awaitNative(async (native) =>
    native.socketListen(requirePath('socket path', path), (connection, peer) => {
      onConnection(peerSocket(connection, peer));
    }),
  );
  return {
    close: async () => awaitNative(async (native) => native.socketServerClose(handle)),
  };
}

function peerSocket(connection: ConnectionHandle, peer: PeerCredentials): PeerSocket {
  return {
    peer,
    start: ({ onData, onClose }) => {
      callNative((native) => {
        native.socketStart(connection, onData, onClose);
      });
    },
    send: async (bytes, fds = []) => {
      for (const fd of fds) requireInteger('descriptor', fd, 0, 0x7fff_ffff);
      await awaitNative(async (native) => native.socketSend(connection, bytes, fds));
    },
    pause: () => {
      callNative((native) => {
        native.socketSetPaused(connection, true);
      });
    },
    resume: () => {
      callNative((native) => {
        native.socketSetPaused(connection, false);
      });
    },
    close: () => {
      callNative((native) => {
        native.socketClose(connection);
      });
    },
  };
}
