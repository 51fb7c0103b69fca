/**
 * What a backup tells the task log: per drive one line at the start, then one each 10 % or 10 s, one at its end, and what it all came
 * to. Pure: it turns counters into lines and decides when one is due.
 */
import type { VolumeProgress } from '../engine/types.js';
import type { Clock } from '../lib/clock.js';
import { formatBytes, formatDuration, formatRate } from '../lib/units.js';

const linePercent = 10;
const lineIntervalMs = 10_000;

export const noProgress: VolumeProgress = {
  sizeBytes: 0,
  processedBytes: 0,
  readBytes: 0,
  zeroBytes: 0,
  reusedBytes: 0,
  newBytes: 0,
};

/** The lines of one drive. */
export class DriveProgress {
  readonly #startedMs: number;
  #lastLineMs: number;
  #lastStep = 0;

  constructor(
    private readonly device: string,
    private readonly clock: Clock,
  ) {
    this.#startedMs = clock.monotonicMs();
    this.#lastLineMs = this.#startedMs;
  }

  /** A line where one is due, else null. The last step is left to `finished`. */
  update(progress: VolumeProgress): string | null {
    const nowMs = this.clock.monotonicMs();
    const percent = percentOf(progress);
    const step = Math.floor(percent / linePercent);
    if (percent >= 100 || (step === this.#lastStep && nowMs - this.#lastLineMs < lineIntervalMs)) return null;
    this.#lastStep = step;
    this.#lastLineMs = nowMs;
    const done = `${formatBytes(progress.processedBytes)} of ${formatBytes(progress.sizeBytes)}`;
    return `${this.device}: ${percent}% (${done}), ${this.#readAndRate(progress, nowMs)}`;
  }

  /** The closing line. */
  finished(progress: VolumeProgress): string {
    const nowMs = this.clock.monotonicMs();
    const duration = formatDuration(nowMs - this.#startedMs);
    return `${this.device}: 100% (${formatBytes(progress.sizeBytes)}) in ${duration}, ${this.#readAndRate(progress, nowMs)}`;
  }

  #readAndRate(progress: VolumeProgress, nowMs: number): string {
    const rate = formatRate(progress.readBytes, nowMs - this.#startedMs);
    return `read ${formatBytes(progress.readBytes)} (${rate}), new ${formatBytes(progress.newBytes)}`;
  }
}

export function driveStartLine(device: string, sizeBytes: number): string {
  return `${device}: ${formatBytes(sizeBytes)}, mode full: all but holes is read, no bitmap is used`;
}

/** What the whole backup came to, once it is committed. */
export function summaryLines(total: VolumeProgress, addedBytes: number, durationMs: number): string[] {
  const { sizeBytes, readBytes, newBytes, reusedBytes, zeroBytes } = total;
  const share = sizeBytes === 0 ? 100 : Math.floor(((reusedBytes + zeroBytes) * 100) / sizeBytes);
  return [
    `transferred ${formatBytes(readBytes)} in ${formatDuration(durationMs)} (${formatRate(readBytes, durationMs)})`,
    `new ${formatBytes(newBytes)}, reused ${formatBytes(reusedBytes)}, sparse ${formatBytes(zeroBytes)}: ` +
      `${share}% of ${formatBytes(sizeBytes)} needed no storing; the repository grew by ${formatBytes(addedBytes)}`,
  ];
}

export function addProgress(a: VolumeProgress, b: VolumeProgress): VolumeProgress {
  return {
    sizeBytes: a.sizeBytes + b.sizeBytes,
    processedBytes: a.processedBytes + b.processedBytes,
    readBytes: a.readBytes + b.readBytes,
    zeroBytes: a.zeroBytes + b.zeroBytes,
    reusedBytes: a.reusedBytes + b.reusedBytes,
    newBytes: a.newBytes + b.newBytes,
  };
}

function percentOf(progress: VolumeProgress): number {
  return progress.sizeBytes === 0 ? 100 : Math.floor((progress.processedBytes * 100) / progress.sizeBytes);
}
