/**
 * Since when something looks as it does, by this process's own monotonic clock: how silence is measured without trusting another machine's time.
 * What was never seen before is as young as its first sight. Kept across collections by whoever lives long enough.
 */

import type { Clock } from '../../lib/clock.js';

export class Sightings {
  readonly #seen = new Map<string, { readonly look: string; readonly sinceMs: number }>();

  constructor(private readonly clock: Pick<Clock, 'monotonicMs'>) {}

  /** How long `name` has looked like `look` without a change, in ms; 0 at the first sight. */
  unchangedMs(name: string, look: string): number {
    const nowMs = this.clock.monotonicMs();
    const before = this.#seen.get(name);
    if (before?.look === look) return nowMs - before.sinceMs;
    this.#seen.set(name, { look, sinceMs: nowMs });
    return 0;
  }

  /** Forgets what begins with `prefix` and is not in `names`. */
  keepOnly(prefix: string, names: ReadonlySet<string>): void {
    for (const name of this.#seen.keys()) if (name.startsWith(prefix) && !names.has(name)) this.#seen.delete(name);
  }
}
