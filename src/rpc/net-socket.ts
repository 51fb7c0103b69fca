/** A connection of Node's own net module as a PeerSocket: for the client end, which receives no descriptors. */
import type { Socket } from 'node:net';
import type { PeerSocket } from '../engine/types.js';
import { VzvaultError } from '../lib/errors.js';

/** Takes the socket over. Its peer's credentials are not known to Node: they read as -1. */
export function netPeerSocket(socket: Socket): PeerSocket {
  let failure: string | null = null;
  return {
    peer: { pid: -1, uid: -1, gid: -1 },
    start: ({ onData, onClose }) => {
      socket.on('data', (bytes: Buffer) => {
        onData(bytes, []);
      });
      socket.on('error', (error) => {
        failure = error.message;
      });
      socket.on('close', () => {
        onClose(failure);
      });
    },
    send: async (bytes, fds = []) => {
      if (fds.length > 0) throw new VzvaultError('E_UNSUPPORTED', 'this connection cannot send descriptors');
      await new Promise<void>((resolve, reject) => {
        socket.write(bytes, (error) => {
          if (error) reject(new VzvaultError('E_CONNECTION_LOST', `sending failed: ${error.message}`));
          else resolve();
        });
      });
    },
    pause: () => void socket.pause(),
    resume: () => void socket.resume(),
    close: () => {
      socket.destroy();
    },
  };
}
