/**
 * Time as a value that tests can own. Wall-clock time names things (snapshots, log lines); durations are measured with the
 * monotonic clock only, since the wall clock of a node jumps.
 */

export interface Clock {
  /** Unix time in whole seconds. */
  nowSeconds(): number;
  /** Milliseconds since an arbitrary point; never goes back. */
  monotonicMs(): number;
}

export const systemClock: Clock = {
  nowSeconds: () => Math.floor(Date.now() / 1000),
  monotonicMs: () => performance.now(),
};
