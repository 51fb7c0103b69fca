/**
 * Time as a value that tests can own. Wall-clock time names things (snapshots, log lines); durations are measured with the
 * monotonic clock only, since the wall clock of a node jumps.
 */

import { pause } from './deadline.js';

export interface Clock {
  /** Unix time in whole seconds. */
  nowSeconds(): number;
  /** Milliseconds since an arbitrary point; never goes back. */
  monotonicMs(): number;
}

/** A clock that can also be waited for. */
export interface WaitingClock extends Clock {
  /** Ends early and quietly when the signal is aborted. */
  sleep(durationMs: number, signal?: AbortSignal): Promise<void>;
}

export const systemClock: WaitingClock = {
  nowSeconds: () => Math.floor(Date.now() / 1000),
  monotonicMs: () => performance.now(),
  sleep: pause,
};
