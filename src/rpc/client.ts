/**
 * The client's end of the RPC in TypeScript: for the command line's question whether the daemon is there, for the demo and for
 * tests. The Perl modules have a client of their own. It sends no descriptors.
 */
import { createConnection, type Socket } from 'node:net';
import { VzvaultError } from '../lib/errors.js';
import { silentLogger, type Logger } from '../lib/logger.js';
import { daemonContract, hello, notifications, protocolMax, protocolMin } from './contract.js';
import type { DaemonMethod, LogLevel, Params, Result } from './contract.js';
import type { NotificationMessage } from './message.js';
import { netPeerSocket } from './net-socket.js';
import type { RequestOptions } from './outgoing-calls.js';
import { parseWith } from './parse.js';
import { Peer } from './peer.js';

export interface ConnectOptions {
  readonly socketPath: string;
  /** What the client calls itself in the handshake: `cli/0.1.0`. */
  readonly client: string;
  readonly logger?: Logger;
  /** For connecting and the handshake together. */
  readonly timeoutMs?: number;
  /** Lines for the task log. */
  readonly onLog?: (level: LogLevel, message: string) => void;
}

const defaultTimeoutMs = 5_000;

export class DaemonClient {
  private constructor(
    private readonly peer: Peer,
    /** What the daemon answered to hello. */
    readonly daemon: { readonly protocol: number; readonly daemon: string },
  ) {}

  /** Rejects with E_DAEMON_UNREACHABLE where nobody listens, and with what the handshake answers. */
  static async connect(options: ConnectOptions): Promise<DaemonClient> {
    const timeoutMs = options.timeoutMs ?? defaultTimeoutMs;
    const peer = new Peer({
      socket: netPeerSocket(await connectSocket(options.socketPath, timeoutMs)),
      logger: options.logger ?? silentLogger(),
      closeFd: () => undefined,
      dispatch: async ({ method }) =>
        Promise.reject(new VzvaultError('E_METHOD_UNKNOWN', `this client does not know the method ${method}`)),
      onNotification: (message) => {
        deliverLog(message, options.onLog);
      },
    });
    peer.start();
    try {
      const params = { protocolMin, protocolMax, client: options.client };
      const answer = await peer.request('hello', params, { deadlineMs: timeoutMs });
      return new DaemonClient(peer, parseWith(hello.result, answer, 'hello'));
    } catch (error) {
      peer.end();
      throw error;
    }
  }

  /** Calls a method. Rejects with the error that the daemon answers. */
  async call<M extends DaemonMethod>(method: M, params: Params<M>, options: RequestOptions = {}): Promise<Result<M>> {
    const answer = await this.peer.request(method, params, options);
    return parseWith(daemonContract[method].result, answer, method) as Result<M>;
  }

  /** Ends the connection; the daemon cancels what is still running for it. */
  close(): void {
    this.peer.end();
  }
}

function deliverLog(message: NotificationMessage, onLog: ConnectOptions['onLog']): void {
  if (message.method !== 'log' || !onLog) return;
  const { level, message: line } = parseWith(notifications.log, message.params, 'log');
  onLog(level, line);
}

async function connectSocket(socketPath: string, timeoutMs: number): Promise<Socket> {
  const socket = createConnection({ path: socketPath });
  try {
    await new Promise<void>((resolve, reject) => {
      socket.setTimeout(timeoutMs, () => {
        reject(new Error('it does not accept'));
      });
      socket.once('error', reject);
      socket.once('connect', resolve);
    });
    socket.setTimeout(0);
    socket.removeAllListeners();
    return socket;
  } catch (error) {
    socket.destroy();
    const why = error instanceof Error ? error.message : String(error);
    throw new VzvaultError('E_DAEMON_UNREACHABLE', `connecting to vzvaultd at ${socketPath} failed: ${why}`);
  }
}
