/**
 * What the backup of a container tells the task log: a line each 10 s, and what it all came to. Pure: it turns counters into lines and decides
 * when one is due. How much there is to do nobody knows before tar has ended, so there are no percentages.
 */
import type { ArchiveProgress } from '../engine/types.js';
import type { Clock } from '../lib/clock.js';
import { formatBytes, formatDuration, formatRate, percent } from '../lib/units.js';

const lineIntervalMs = 10_000;

export class ContainerProgress {
  readonly #startedMs: number;
  #lastMs: number;
  #lastReadBytes = 0;

  /** The clock starts here. */
  constructor(
    private readonly name: string,
    private readonly clock: Pick<Clock, 'monotonicMs'>,
  ) {
    this.#startedMs = clock.monotonicMs();
    this.#lastMs = this.#startedMs;
  }

  /** A line where one is due, else null. */
  update({ members, readBytes, newBytes }: ArchiveProgress): string | null {
    const nowMs = this.clock.monotonicMs();
    const sinceMs = nowMs - this.#lastMs;
    if (sinceMs < lineIntervalMs) return null;
    const rate = formatRate(readBytes - this.#lastReadBytes, sinceMs);
    this.#lastMs = nowMs;
    this.#lastReadBytes = readBytes;
    return `${this.name}: ${members} files, read ${formatBytes(readBytes)} (${rate}), new ${formatBytes(newBytes)}`;
  }

  /** What it came to, once it is committed. `sizeBytes`: of the files' data; `addedBytes`: what the files of the repository grew by. */
  summary(counters: ArchiveProgress, sizeBytes: number, addedBytes: number): string[] {
    const { members, readBytes, reusedBytes, zeroBytes, newBytes } = counters;
    const durationMs = this.clock.monotonicMs() - this.#startedMs;
    const share = (part: number): string => `${formatBytes(part)} (${sizeBytes === 0 ? 0 : percent(part, sizeBytes)}%)`;
    return [
      `${this.name}: ${members} files with ${formatBytes(sizeBytes)} of data`,
      `transferred ${formatBytes(readBytes)} in ${formatDuration(durationMs)} (${formatRate(readBytes, durationMs)})`,
      `reused ${share(reusedBytes)}, zero ${share(zeroBytes)}`,
      `new ${share(newBytes)}; the repository grew by ${formatBytes(addedBytes)}`,
    ];
  }
}
