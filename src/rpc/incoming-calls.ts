/**
 * The requests of the other end while they are being answered: ids, deadlines, cancellation, log lines, and the descriptors that
 * came with them.
 *
 * A deadline is kept whatever the handler does. A cancelled handler may still answer (it may have committed already) for a
 * grace period; then its request is answered E_CANCELLED. A handler that settles later than its answer changes nothing.
 */
import { toVzvaultError, VzvaultError } from '../lib/errors.js';
import { rpcLimits, serverLimits } from '../lib/limits.js';
import type { Logger } from '../lib/logger.js';
import type { PlainMap } from './codec.js';
import type { LogLevel } from './contract.js';
import { errorFields, quote, type RequestMessage } from './message.js';

/** A request as its handler sees it. */
export interface IncomingRequest {
  readonly id: number;
  readonly method: string;
  readonly params: PlainMap;
  /** Aborted with a VzvaultError as reason: cancelled, deadline passed, connection ended, server stopping. */
  readonly signal: AbortSignal;
  /** The descriptors that came with the request. The caller closes them; those never taken are closed after the answer. */
  takeFds(): number[];
  /** A line for the caller's task log. Nothing once the request is answered. */
  log(level: LogLevel, message: string): void;
  /** Tells the handler to stop, although nobody asked for it. */
  abort(reason: VzvaultError): void;
}

export type Dispatch = (request: IncomingRequest) => Promise<PlainMap>;
export type Send = (message: PlainMap, fds?: readonly number[]) => void;

// setTimeout counts in 31 bits.
const longestTimerMs = 2_147_483_647;

export class IncomingCalls {
  readonly #running = new Map<number, Call>();
  readonly #settling = new Set<Promise<void>>();
  #lastId = 0;

  constructor(
    private readonly dispatch: Dispatch,
    private readonly send: Send,
    private readonly closeFd: (fd: number) => void,
    private readonly logger: Logger,
  ) {}

  get size(): number {
    return this.#running.size;
  }

  /** Takes an id as used. Throws E_PROTOCOL_ORDER where it is not above all before it. */
  reserve(id: number): void {
    if (id <= this.#lastId) {
      throw new VzvaultError('E_PROTOCOL_ORDER', `request ${id} came after request ${this.#lastId}; ids must rise`);
    }
    this.#lastId = id;
  }

  /** Starts a request. Throws E_PROTOCOL_ORDER. Takes the descriptors over. */
  handle(message: RequestMessage, fds: number[]): void {
    const call = new Call(message, fds, this.send, this.closeFd, () => this.#running.delete(message.id));
    try {
      this.reserve(message.id);
      if (this.#running.size >= rpcLimits.unansweredRequests) {
        throw new VzvaultError(
          'E_PROTOCOL_ORDER',
          `more than ${rpcLimits.unansweredRequests} requests without an answer`,
        );
      }
    } catch (error) {
      call.closeFds();
      throw error;
    }
    this.#running.set(message.id, call);
    const settled = this.#run(call).finally(() => this.#settling.delete(settled));
    this.#settling.add(settled);
  }

  async #run(call: Call): Promise<void> {
    const begunMs = performance.now();
    let code = 'ok';
    try {
      call.answer({ result: await this.dispatch(call) });
    } catch (thrown) {
      const error = toVzvaultError(thrown);
      code = error.code;
      if (code === 'E_INTERNAL')
        this.logger.error({ err: error, method: call.method }, 'a handler failed unexpectedly');
      call.answer({ error: errorFields(error) });
    } finally {
      call.closeFds();
      const durationMs = Math.round(performance.now() - begunMs);
      this.logger.debug({ method: quote(call.method), id: call.id, durationMs, code }, 'request ended');
    }
  }

  /** The notification `cancel`. An id that is answered already, or nonsense, is ignored: the answer may just be on its way. */
  cancel(id: unknown): void {
    if (typeof id === 'number')
      this.#running.get(id)?.cancel(new VzvaultError('E_CANCELLED', 'the caller stopped the task'));
  }

  cancelAll(reason: VzvaultError): void {
    for (const call of [...this.#running.values()]) call.cancel(reason);
  }

  /** Resolves when no handler runs any more, answered or not. */
  async idle(): Promise<void> {
    while (this.#settling.size > 0) await Promise.allSettled([...this.#settling]);
  }
}

class Call implements IncomingRequest {
  readonly id: number;
  readonly method: string;
  readonly params: PlainMap;
  readonly #controller = new AbortController();
  #fds: number[];
  #isAnswered = false;
  #deadlineTimer: NodeJS.Timeout | undefined;
  #graceTimer: NodeJS.Timeout | undefined;

  constructor(
    message: RequestMessage,
    fds: number[],
    private readonly send: Send,
    private readonly closeFd: (fd: number) => void,
    private readonly onAnswered: () => void,
  ) {
    this.id = message.id;
    this.method = message.method;
    this.params = message.params;
    this.#fds = fds;
    const { deadlineMs } = message;
    if (deadlineMs === undefined) return;
    this.#deadlineTimer = setTimeout(
      () => {
        const error = new VzvaultError('E_DEADLINE', `${this.method} did not end within ${deadlineMs} ms`);
        this.answer({ error: errorFields(error) });
        this.abort(error);
      },
      Math.min(deadlineMs, longestTimerMs),
    );
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  takeFds(): number[] {
    const fds = this.#fds;
    this.#fds = [];
    return fds;
  }

  closeFds(): void {
    for (const fd of this.takeFds()) this.closeFd(fd);
  }

  log(level: LogLevel, message: string): void {
    if (this.#isAnswered) return;
    const line = message.replace(/\s*[\r\n]+\s*/g, ' ').slice(0, serverLimits.logLineCharacters);
    this.send({ method: 'log', params: { level, message: line, request: this.id } });
  }

  abort(reason: VzvaultError): void {
    if (!this.signal.aborted) this.#controller.abort(reason);
  }

  cancel(reason: VzvaultError): void {
    if (this.#isAnswered || this.#graceTimer) return;
    this.#graceTimer = setTimeout(() => {
      this.answer({ error: errorFields(reason) });
    }, serverLimits.cancelGraceMs);
    this.abort(reason);
  }

  answer(outcome: PlainMap): void {
    if (this.#isAnswered) return;
    this.#isAnswered = true;
    clearTimeout(this.#deadlineTimer);
    clearTimeout(this.#graceTimer);
    this.onAnswered();
    try {
      this.send({ id: this.id, ...outcome });
    } catch (error) {
      // The answer cannot be sent as it is (too large, or not plain data): the caller still gets one.
      this.send({ id: this.id, error: errorFields(toVzvaultError(error)) });
    }
  }
}
