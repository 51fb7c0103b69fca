/** A server with the handlers that a test gives, on a real Unix socket, gone with the test. */
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { engine } from '../../src/engine/index.js';
import { abortReason, pause } from '../../src/lib/deadline.js';
import { silentLogger } from '../../src/lib/logger.js';
import { DaemonClient } from '../../src/rpc/client.js';
import { RpcServer, type Handlers } from '../../src/rpc/server.js';
import { handlersWith } from './rpc.js';
import { cleanupsOf } from './temp.js';

const ping = { 'daemon.ping': async () => ({ version: '0.1.0', pid: process.pid }) };

export async function serve(
  test: TestContext,
  handlers: Partial<Handlers> = {},
): Promise<{ server: RpcServer; socketPath: string }> {
  const cleanups = cleanupsOf(test);
  const socketPath = join(cleanups.directory(), 'socket');
  const server = await RpcServer.start({
    engine,
    socketPath,
    handlers: handlersWith({ ...ping, ...handlers }),
    logger: silentLogger(),
    version: '0.1.0',
  });
  cleanups.add(async () => server.stop());
  return { server, socketPath };
}

export async function connect(
  socketPath: string,
  onLog?: (level: string, message: string) => void,
): Promise<DaemonClient> {
  return DaemonClient.connect({ socketPath, client: 'test/1', ...(onLog ? { onLog } : {}) });
}

/** Waits until aborted, then rejects as a good handler does. */
export async function untilAborted(signal: AbortSignal): Promise<never> {
  while (!signal.aborted) await pause(60_000, signal);
  throw abortReason(signal);
}
