/**
 * Our requests to the other end until they are answered. Each settles once: by its answer, its deadline, its signal, or the end of
 * the connection. The id of one that was given up stays known, since its answer still comes.
 */
import { abortReason } from '../lib/deadline.js';
import { VzvaultError } from '../lib/errors.js';
import { rpcLimits } from '../lib/limits.js';
import type { PlainMap } from './codec.js';
import type { Send } from './incoming-calls.js';
import type { ResponseMessage } from './message.js';

export interface RequestOptions {
  /** The other end must answer within it; we wait a little longer. */
  readonly deadlineMs?: number;
  /** Aborted: the other end is asked to stop, and the request rejects with the signal's reason at once. */
  readonly signal?: AbortSignal;
  /** Sent with the request. They are duplicated; the caller still owns them. */
  readonly fds?: readonly number[];
}

/** The way of an answer that was sent in time. */
const answerSlackMs = 1_000;

interface Waiting {
  readonly resolve: (result: PlainMap) => void;
  readonly reject: (error: VzvaultError) => void;
}

export class OutgoingCalls {
  /** undefined: given up, the answer is awaited only to be dropped. */
  readonly #waiting = new Map<number, Waiting | undefined>();
  #lastId = 0;

  constructor(private readonly send: Send) {}

  async request(method: string, params: PlainMap, options: RequestOptions): Promise<PlainMap> {
    const { deadlineMs, signal, fds = [] } = options;
    if (signal?.aborted) throw abortReason(signal);
    if (this.#waiting.size >= rpcLimits.unansweredRequests) {
      throw new VzvaultError('E_INTERNAL', `calling ${method}: too many requests without an answer`);
    }
    this.#lastId += 1;
    const id = this.#lastId;
    const message = { id, method, params, deadlineMs, fds: fds.length > 0 ? fds.length : undefined };

    let timer: NodeJS.Timeout | undefined;
    let onAbort: (() => void) | undefined;
    try {
      return await new Promise<PlainMap>((resolve, reject) => {
        this.#waiting.set(id, { resolve, reject });
        if (deadlineMs !== undefined) {
          timer = setTimeout(() => {
            this.#giveUp(id, new VzvaultError('E_DEADLINE', `${method} was not answered within ${deadlineMs} ms`));
          }, deadlineMs + answerSlackMs);
        }
        if (signal) {
          onAbort = () => {
            this.#giveUp(id, abortReason(signal));
          };
          signal.addEventListener('abort', onAbort, { once: true });
        }
        // Last: it can end the connection, which rejects everything that waits.
        this.send(message, fds);
      });
    } catch (error) {
      if (this.#waiting.get(id)) this.#waiting.delete(id);
      throw error;
    } finally {
      clearTimeout(timer);
      if (onAbort) signal?.removeEventListener('abort', onAbort);
    }
  }

  #giveUp(id: number, error: VzvaultError): void {
    const waiting = this.#waiting.get(id);
    if (!waiting) return;
    this.#waiting.set(id, undefined);
    this.send({ method: 'cancel', params: { id } });
    waiting.reject(error);
  }

  /** Throws E_PROTOCOL_ORDER for an id that was never asked or was answered already. */
  settle(response: ResponseMessage): void {
    if (!this.#waiting.has(response.id)) {
      throw new VzvaultError('E_PROTOCOL_ORDER', `a response came to request ${response.id}, which is not open`);
    }
    const waiting = this.#waiting.get(response.id);
    this.#waiting.delete(response.id);
    if ('error' in response.outcome) waiting?.reject(response.outcome.error);
    else waiting?.resolve(response.outcome.result);
  }

  rejectAll(error: VzvaultError): void {
    const all = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const waiting of all) waiting?.reject(error);
  }
}
