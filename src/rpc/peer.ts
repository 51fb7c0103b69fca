/**
 * One end of a connection: bytes in, calls out, and the other way round. Both ends are the same; which methods they answer is the
 * `dispatch` that they are given.
 *
 * Invariants: an incoming request is answered exactly once while the connection lives, and its handler's signal is aborted when it
 * ends; an outgoing request settles exactly once; every descriptor that arrives is handed to one handler or closed. Whatever breaks
 * the protocol ends the connection (`end`), nothing else in the process. Runs on the main thread only.
 */
import type { PeerSocket } from '../engine/types.js';
import { toVzvaultError, VzvaultError } from '../lib/errors.js';
import type { Logger } from '../lib/logger.js';
import { decodeBody, encodeMessage, type PlainMap } from './codec.js';
import { DescriptorQueue } from './descriptor-queue.js';
import { FrameDecoder } from './framing.js';
import { IncomingCalls, type Dispatch } from './incoming-calls.js';
import {
  errorFields,
  parseMessage,
  quote,
  type Message,
  type NotificationMessage,
  type ResponseMessage,
} from './message.js';
import { OutgoingCalls, type RequestOptions } from './outgoing-calls.js';
import { SendQueue } from './send-queue.js';

export interface PeerOptions {
  readonly socket: PeerSocket;
  readonly logger: Logger;
  /** Answers a request of the other end. */
  readonly dispatch: Dispatch;
  /** Called for notifications other than `cancel`. */
  readonly onNotification?: (message: NotificationMessage) => void;
  /**
   * The daemon's half of the handshake: given, the first message must be the request `hello`, whose params this turns into the
   * result. What it throws is the answer, and the end of the connection.
   */
  readonly hello?: (params: PlainMap) => PlainMap;
  readonly closeFd: (fd: number) => void;
}

export class Peer {
  /** Resolves when the connection has ended and the handlers of its requests have settled: why it ended, or null. */
  readonly ended: Promise<VzvaultError | null>;

  readonly #socket: PeerSocket;
  readonly #decoder = new FrameDecoder();
  readonly #descriptors: DescriptorQueue;
  readonly #queue: SendQueue;
  readonly #incoming: IncomingCalls;
  readonly #outgoing: OutgoingCalls;
  #expectsHello: boolean;
  #isOpen = true;
  #settleEnded!: (reason: VzvaultError | null) => void;

  constructor(private readonly options: PeerOptions) {
    this.#socket = options.socket;
    this.#expectsHello = options.hello !== undefined;
    this.#descriptors = new DescriptorQueue(options.closeFd);
    this.#queue = new SendQueue(options.socket, (error) => {
      this.end(error);
    });
    const send = (message: PlainMap, fds?: readonly number[]): void => {
      this.#send(message, fds);
    };
    this.#incoming = new IncomingCalls(options.dispatch, send, options.closeFd, options.logger);
    this.#outgoing = new OutgoingCalls(send);
    this.ended = new Promise((resolve) => {
      this.#settleEnded = resolve;
    });
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** Requests of the other end that are not answered yet. */
  get runningRequests(): number {
    return this.#incoming.size;
  }

  /** Begins to read. Call once. */
  start(): void {
    this.#socket.start({
      onData: (bytes, fds) => {
        this.#received(bytes, fds);
      },
      onClose: (error) => {
        this.#closed(error);
      },
    });
  }

  /** Calls a method of the other end. Rejects with what it answers, E_DEADLINE, E_CONNECTION_LOST, or the signal's reason. */
  async request(method: string, params: PlainMap, options: RequestOptions = {}): Promise<PlainMap> {
    if (!this.#isOpen) throw new VzvaultError('E_CONNECTION_LOST', `calling ${method}: the connection has ended`);
    return this.#outgoing.request(method, params, options);
  }

  /** Does nothing when the connection has ended. */
  notify(method: string, params: PlainMap): void {
    if (this.#isOpen) this.#send({ method, params });
  }

  /** Stops the handlers of all running requests, which are then answered with `reason`, or with what they still achieved. */
  cancelIncoming(reason: VzvaultError): void {
    this.#incoming.cancelAll(reason);
  }

  /**
   * Ends the connection. With a reason, the other end is told it in a last response with id 0, if it still listens. Handlers are
   * aborted, requests rejected. Repeatable.
   */
  end(reason: VzvaultError | null = null): void {
    if (!this.#isOpen) return;
    const lastFrame = reason ? encodeMessage({ id: 0, error: errorFields(reason) }) : null;
    this.#shut(reason);
    this.#queue.close(lastFrame);
  }

  #shut(reason: VzvaultError | null): void {
    this.#isOpen = false;
    this.#descriptors.closeUnclaimed();
    this.#outgoing.rejectAll(reason ?? new VzvaultError('E_CONNECTION_LOST', 'the connection has ended'));
    this.#incoming.cancelAll(reason ?? new VzvaultError('E_CANCELLED', 'the caller has gone'));
    void this.#incoming.idle().then(() => {
      this.#settleEnded(reason);
    });
  }

  #closed(error: string | null): void {
    this.#queue.closed();
    if (!this.#isOpen) return;
    if (this.#decoder.isInsideFrame) {
      this.#shut(new VzvaultError('E_FRAME_TORN', 'the connection ended inside a message'));
    } else {
      this.#shut(error === null ? null : new VzvaultError('E_CONNECTION_LOST', `the connection failed: ${error}`));
    }
  }

  #received(bytes: Buffer, fds: readonly number[]): void {
    this.#descriptors.arrived(fds);
    if (!this.#isOpen) {
      this.#descriptors.closeUnclaimed();
      return;
    }
    try {
      for (const body of this.#decoder.push(bytes)) {
        if (!this.#isOpen) break;
        this.#handle(parseMessage(decodeBody(body)));
      }
      if (this.#decoder.isInsideFrame && this.#isOpen) this.#descriptors.checkBound();
      else this.#descriptors.closeUnclaimed();
    } catch (error) {
      this.end(toVzvaultError(error));
      this.#descriptors.closeUnclaimed();
    }
  }

  #handle(message: Message): void {
    if (this.#expectsHello) {
      this.#handleHello(message);
    } else if (message.kind === 'request') {
      this.#incoming.handle(message, this.#descriptors.claim(message.fds));
    } else if (message.kind === 'response') {
      this.#handleResponse(message);
    } else if (message.method === 'cancel') {
      this.#incoming.cancel(message.params['id']);
    } else {
      this.options.onNotification?.(message);
    }
  }

  #handleResponse(message: ResponseMessage): void {
    if (message.id === 0 && 'error' in message.outcome) {
      // The other end says why it leaves.
      this.#shut(message.outcome.error);
      this.#queue.close(null);
    } else {
      this.#outgoing.settle(message);
    }
  }

  #handleHello(message: Message): void {
    if (message.kind !== 'request' || message.method !== 'hello') {
      const what = message.kind === 'response' ? 'a response' : `the ${message.kind} ${quote(message.method)}`;
      throw new VzvaultError('E_PROTOCOL_ORDER', `the first message must be the request "hello", not ${what}`);
    }
    this.#incoming.reserve(message.id);
    try {
      const result = this.options.hello?.(message.params) ?? {};
      this.#expectsHello = false;
      this.#send({ id: message.id, result });
    } catch (thrown) {
      const error = toVzvaultError(thrown);
      const lastFrame = encodeMessage({ id: message.id, error: errorFields(error) });
      this.#shut(error);
      this.#queue.close(lastFrame);
    }
  }

  #send(message: PlainMap, fds: readonly number[] = []): void {
    const frame = encodeMessage(message);
    if (this.#isOpen) this.#queue.send(frame, fds);
  }
}
