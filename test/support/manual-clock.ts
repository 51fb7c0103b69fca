/** A clock that tests own: who sleeps wakes up when the test says that it is time. */
import type { WaitingClock } from '../../src/lib/clock.js';

export class ManualClock implements WaitingClock {
  #nowMs = 1_795_321_034_000;
  readonly #sleepers = new Set<{ readonly dueMs: number; readonly wake: () => void }>();

  nowSeconds(): number {
    return Math.floor(this.#nowMs / 1000);
  }

  monotonicMs(): number {
    return this.#nowMs;
  }

  async sleep(durationMs: number, signal?: AbortSignal): Promise<void> {
    if (signal?.aborted === true || durationMs <= 0) return;
    await new Promise<void>((resolve) => {
      const onAbort = (): void => {
        this.#sleepers.delete(sleeper);
        resolve();
      };
      const wake = (): void => {
        signal?.removeEventListener('abort', onAbort);
        resolve();
      };
      const sleeper = { dueMs: this.#nowMs + durationMs, wake };
      this.#sleepers.add(sleeper);
      signal?.addEventListener('abort', onAbort);
    });
  }

  advance(durationMs: number): void {
    this.#nowMs += durationMs;
    for (const sleeper of this.#sleepers) {
      if (sleeper.dueMs > this.#nowMs) continue;
      this.#sleepers.delete(sleeper);
      sleeper.wake();
    }
  }
}
