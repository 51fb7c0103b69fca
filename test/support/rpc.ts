/** The RPC in tests: a client that says whatever bytes it is told to, and handlers that are not called. */
import assert from 'node:assert/strict';
import { connect, type Socket } from 'node:net';
import { decodeBody, encodeMessage, type PlainMap } from '../../src/rpc/codec.js';
import { daemonContract } from '../../src/rpc/contract.js';
import { FrameDecoder } from '../../src/rpc/framing.js';
import type { Handlers } from '../../src/rpc/server.js';
import { until } from './processes.js';

/** A client that keeps no rule but what its test tells it to. */
export class RawClient {
  readonly messages: PlainMap[] = [];
  isClosed = false;

  private constructor(readonly socket: Socket) {
    const decoder = new FrameDecoder();
    socket.on('data', (bytes: Buffer) => {
      for (const body of decoder.push(bytes)) this.messages.push(decodeBody(body));
    });
    socket.on('error', () => undefined);
    socket.on('close', () => {
      this.isClosed = true;
    });
  }

  static async connect(socketPath: string): Promise<RawClient> {
    const socket = connect(socketPath);
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', reject);
    });
    return new RawClient(socket);
  }

  static async greeted(socketPath: string): Promise<RawClient> {
    const client = await RawClient.connect(socketPath);
    client.send(helloRequest());
    await client.answered(1);
    return client;
  }

  send(message: PlainMap): void {
    this.socket.write(encodeMessage(message));
  }

  write(bytes: Buffer): void {
    this.socket.write(bytes);
  }

  /** The message with this id, once it is there. */
  async answered(id: number): Promise<PlainMap> {
    const find = (): PlainMap | undefined => this.messages.find((message) => message['id'] === id);
    await until(`response ${id}`, () => find() !== undefined, 5_000);
    return find() ?? {};
  }

  async closed(): Promise<void> {
    await until('the connection is closed', () => this.isClosed, 5_000);
  }

  close(): void {
    this.socket.destroy();
  }
}

export function helloRequest(params: PlainMap = {}): PlainMap {
  return { id: 1, method: 'hello', params: { protocolMin: 1, protocolMax: 1, client: 'test/1', ...params } };
}

/** The code of the error in a response. */
export function codeOf(response: PlainMap): unknown {
  const error = response['error'];
  assert.ok(typeof error === 'object' && error !== null, `expected an error: ${JSON.stringify(response)}`);
  return (error as PlainMap)['code'];
}

/** Handlers that all fail, but for those given. */
export function handlersWith(some: Partial<Handlers>): Handlers {
  const all = Object.keys(daemonContract).map((method) => [
    method,
    async () => Promise.reject(new Error(`${method} is not part of this test`)),
  ]);
  return { ...(Object.fromEntries(all) as unknown as Handlers), ...some };
}
