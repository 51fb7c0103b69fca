/**
 * The daemon's end of the RPC: listens, checks who connects, shakes hands, and calls the handler of each method with params that
 * the contract has accepted. One bad connection ends alone.
 *
 * What handlers do, and for how long a task may run, is theirs; what is promised to the peer in time (`answerWithinMs`) is kept here.
 */
import type { Engine, PeerCredentials, PeerSocket, SocketServer } from '../engine/types.js';
import { pause, withDeadline } from '../lib/deadline.js';
import { VzvaultError } from '../lib/errors.js';
import { serverLimits } from '../lib/limits.js';
import type { Logger } from '../lib/logger.js';
import type { PlainMap } from './codec.js';
import {
  clientContract,
  daemonContract,
  hello,
  isDaemonMethod,
  protocolMax,
  protocolMin,
  type ClientMethod,
  type ClientParams,
  type ClientResult,
  type DaemonMethod,
  type LogLevel,
  type Params,
  type Result,
} from './contract.js';
import type { IncomingRequest } from './incoming-calls.js';
import { quote } from './message.js';
import type { RequestOptions } from './outgoing-calls.js';
import { parseWith } from './parse.js';
import { Peer } from './peer.js';

/** What a handler is given beside its params. */
export interface RequestContext {
  /** Of the process that connected; from the kernel, at the time of connecting. */
  readonly peer: PeerCredentials;
  /** Knows the connection and the method. */
  readonly logger: Logger;
  /** Aborted with a VzvaultError as reason when the work is not wanted any more, or nobody is there to want it: stop, and reject. */
  readonly signal: AbortSignal;
  /** A line for the task log of the caller. */
  log(level: LogLevel, message: string): void;
  /** The descriptors that came with the request. The handler closes those that it takes (engine.closeFd). */
  takeFds(): number[];
  /** Calls a method of the caller. An answer that the contract does not allow is E_FRAME_INVALID. */
  request<M extends ClientMethod>(
    method: M,
    params: ClientParams<M>,
    options?: RequestOptions,
  ): Promise<ClientResult<M>>;
}

export type Handler<M extends DaemonMethod> = (params: Params<M>, context: RequestContext) => Promise<Result<M>>;
/** One handler for every method of the contract. */
export type Handlers = { readonly [M in DaemonMethod]: Handler<M> };

export interface RpcServerOptions {
  readonly engine: Pick<Engine, 'listen' | 'closeFd'>;
  readonly socketPath: string;
  readonly handlers: Handlers;
  readonly logger: Logger;
  /** Of the program, told in the handshake. */
  readonly version: string;
}

type AnyHandler = (params: unknown, context: RequestContext) => Promise<PlainMap>;

export class RpcServer {
  readonly #peers = new Set<Peer>();
  #socketServer: SocketServer | undefined;
  #isStopping = false;
  #lastConnection = 0;

  private constructor(private readonly options: RpcServerOptions) {}

  /** Resolves when the socket accepts. Rejects with E_NAME_TAKEN where another daemon answers on it. */
  static async start(options: RpcServerOptions): Promise<RpcServer> {
    const server = new RpcServer(options);
    server.#socketServer = await options.engine.listen(options.socketPath, (socket) => {
      server.#accept(socket);
    });
    return server;
  }

  get connectionCount(): number {
    return this.#peers.size;
  }

  /** Requests that are being answered, of all connections. */
  get runningRequests(): number {
    return [...this.#peers].reduce((sum, peer) => sum + peer.runningRequests, 0);
  }

  /**
   * Accepts nothing more, answers new requests E_DAEMON_STOPPING, waits up to `waitMs` for running ones, cancels those that are
   * left, and ends all connections. Resolves when all handlers have settled, or after a grace period without them.
   */
  async stop(waitMs = 0): Promise<void> {
    this.#isStopping = true;
    await this.#socketServer?.close();
    const giveUpMs = performance.now() + waitMs;
    while (this.runningRequests > 0 && performance.now() < giveUpMs) await pause(20);
    const reason = new VzvaultError('E_DAEMON_STOPPING', 'vzvaultd is stopping');
    for (const peer of this.#peers) peer.cancelIncoming(reason);
    const graceMs = performance.now() + serverLimits.stopGraceMs;
    while (this.runningRequests > 0 && performance.now() < graceMs) await pause(20);
    const ends = [...this.#peers].map(async (peer) => {
      peer.end();
      await peer.ended;
    });
    await Promise.race([Promise.all(ends), pause(Math.max(0, graceMs - performance.now()))]);
  }

  #accept(socket: PeerSocket): void {
    this.#lastConnection += 1;
    const { pid, uid } = socket.peer;
    const logger = this.options.logger.child({ connection: this.#lastConnection, peerPid: pid });
    const peer: Peer = new Peer({
      socket,
      logger,
      closeFd: (fd) => {
        this.options.engine.closeFd(fd);
      },
      dispatch: async (request) => this.#dispatch(request, peer, socket.peer, logger),
      hello: (params) => {
        clearTimeout(helloTimer);
        return this.#shakeHands(params, logger);
      },
    });
    const helloTimer = setTimeout(() => {
      peer.end(new VzvaultError('E_PROTOCOL_ORDER', `no hello came within ${serverLimits.helloMs} ms`));
    }, serverLimits.helloMs);
    this.#peers.add(peer);
    void peer.ended.then((reason) => {
      clearTimeout(helloTimer);
      this.#peers.delete(peer);
      if (reason) logger.warn({ code: reason.code }, `connection ended: ${reason.message}`);
      else logger.debug('connection ended');
    });
    const refusal = this.#refusal(uid);
    peer.start();
    if (refusal) peer.end(refusal);
  }

  #refusal(uid: number): VzvaultError | null {
    if (uid !== 0 && uid !== process.getuid?.()) {
      return new VzvaultError('E_PEER_DENIED', `the peer has uid ${uid}; only root may connect`);
    }
    if (this.#isStopping) return new VzvaultError('E_DAEMON_STOPPING', 'vzvaultd is stopping');
    if (this.#peers.size > serverLimits.connections) {
      return new VzvaultError('E_DAEMON_UNREACHABLE', `vzvaultd has ${serverLimits.connections} connections already`);
    }
    return null;
  }

  #shakeHands(params: PlainMap, logger: Logger): PlainMap {
    const theirs = parseWith(hello.params, params, 'hello');
    const protocol = Math.min(protocolMax, theirs.protocolMax);
    logger.debug({ client: theirs.client, protocol }, 'connected');
    if (protocol < Math.max(protocolMin, theirs.protocolMin)) {
      throw new VzvaultError(
        'E_PROTOCOL_VERSION',
        `the client ${quote(theirs.client)} speaks protocol ${theirs.protocolMin} to ${theirs.protocolMax}, ` +
          `vzvaultd ${this.options.version} ${protocolMin} to ${protocolMax}`,
      );
    }
    return { protocol, daemon: this.options.version };
  }

  async #dispatch(
    request: IncomingRequest,
    peer: Peer,
    credentials: PeerCredentials,
    logger: Logger,
  ): Promise<PlainMap> {
    const { method } = request;
    if (this.#isStopping) throw new VzvaultError('E_DAEMON_STOPPING', `${quote(method)}: vzvaultd is stopping`);
    if (method === 'hello') throw new VzvaultError('E_PROTOCOL_ORDER', 'hello came twice');
    if (!isDaemonMethod(method)) {
      throw new VzvaultError(
        'E_METHOD_UNKNOWN',
        `vzvaultd ${this.options.version} does not know the method ${quote(method)}`,
      );
    }
    const contract = daemonContract[method];
    const params: unknown = parseWith(contract.params, request.params, method);
    const context: RequestContext = {
      peer: credentials,
      logger: logger.child({ method }),
      signal: request.signal,
      log: (level, message) => {
        request.log(level, message);
      },
      takeFds: () => request.takeFds(),
      request: async (name, fields, options) => parseAnswer(name, await peer.request(name, fields, options)),
    };
    // The contract's types say that this handler takes these params; the union of all methods cannot.
    const handler = this.options.handlers[method] as AnyHandler;
    const limitMs = 'answerWithinMs' in contract ? contract.answerWithinMs : undefined;
    const work = handler(params, context);
    const result = limitMs === undefined ? await work : await this.#inTime(work, limitMs, request);
    return parseResult(method, result);
  }

  async #inTime(work: Promise<PlainMap>, limitMs: number, request: IncomingRequest): Promise<PlainMap> {
    try {
      return await withDeadline(work, limitMs, 'E_STORAGE_TIMEOUT', request.method);
    } catch (error) {
      // Still running where it was the deadline that threw.
      if (error instanceof VzvaultError) request.abort(error);
      throw error;
    }
  }
}

function parseAnswer<M extends ClientMethod>(method: M, answer: PlainMap): ClientResult<M> {
  const parsed = clientContract[method].result.safeParse(answer);
  // The union of all results is narrowed by the method; zod's types cannot say so.
  if (parsed.success) return parsed.data as ClientResult<M>;
  throw new VzvaultError('E_FRAME_INVALID', `the answer to ${method} breaks the contract: ${parsed.error.message}`);
}

/** An answer that the contract does not allow is a defect of the handler: E_INTERNAL, and never sent. */
function parseResult(method: DaemonMethod, result: PlainMap): PlainMap {
  const parsed = daemonContract[method].result.safeParse(result);
  if (parsed.success) return parsed.data;
  throw new VzvaultError('E_INTERNAL', `the answer of ${method} breaks the contract: ${parsed.error.message}`);
}
