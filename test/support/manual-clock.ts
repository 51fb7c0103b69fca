/** A clock that tests own. */
import type { Clock } from '../../src/lib/clock.js';

export class ManualClock implements Clock {
  #nowMs = 1_795_321_034_000;

  nowSeconds(): number {
    return Math.floor(this.#nowMs / 1000);
  }

  monotonicMs(): number {
    return this.#nowMs;
  }

  advance(durationMs: number): void {
    this.#nowMs += durationMs;
  }
}
