/**
 * One loop that lets all sessions of a process count on, every `sharingLimits.heartbeatMs`.
 *
 * Each session goes through the directory handle of its repository, and a heartbeat that has not answered yet is not begun again: a mount that
 * hangs silences its own sessions only. A failing heartbeat is reported and tried again the next time; being fenced is the session's own
 * affair, and so is an end that failed (session-removal.ts).
 */

import type { WaitingClock } from '../../lib/clock.js';
import { toVzvaultError, type VzvaultError } from '../../lib/errors.js';
import { sharingLimits } from '../../lib/limits.js';

export interface Beating {
  readonly id: string;
  /** One heartbeat. */
  beat(): Promise<void>;
}

export interface HeartbeatsOptions {
  readonly clock: WaitingClock;
  readonly intervalMs?: number;
  /** Told of every heartbeat that failed. */
  readonly onFailure?: (id: string, error: VzvaultError) => void;
}

export class Heartbeats {
  readonly #sessions = new Set<Beating>();
  readonly #busy = new Set<Beating>();
  #stop: AbortController | null = null;

  constructor(private readonly options: HeartbeatsOptions) {}

  get size(): number {
    return this.#sessions.size;
  }

  /** The loop runs as long as there is a session. */
  add(session: Beating): void {
    this.#sessions.add(session);
    if (this.#stop !== null) return;
    this.#stop = new AbortController();
    void this.#run(this.#stop.signal);
  }

  remove(session: Beating): void {
    this.#sessions.delete(session);
    if (this.#sessions.size > 0) return;
    this.#stop?.abort();
    this.#stop = null;
  }

  async #run(signal: AbortSignal): Promise<void> {
    const { clock, intervalMs = sharingLimits.heartbeatMs } = this.options;
    for (;;) {
      await clock.sleep(intervalMs, signal);
      if (signal.aborted) return;
      for (const session of this.#sessions) void this.#beat(session);
    }
  }

  async #beat(session: Beating): Promise<void> {
    if (this.#busy.has(session)) return;
    this.#busy.add(session);
    try {
      await session.beat();
    } catch (thrown) {
      this.options.onFailure?.(session.id, toVzvaultError(thrown));
    } finally {
      this.#busy.delete(session);
    }
  }
}
