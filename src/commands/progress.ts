/**
 * Progress of long work on standard error: a line that redraws itself where somebody watches, and one line per 10 % or 10 s where
 * it goes into a log.
 */

import { percent as percentOf, formatBytes, formatDuration, formatRate } from '../lib/units.js';
import type { CommandContext } from './context.js';

const REDRAW_MS = 200;
const LOG_EVERY_MS = 10_000;
const LOG_EVERY_PERCENT = 10;
const BAR_CHARACTERS = 24;

export class Progress {
  readonly #startMs: number;
  readonly #terminal: CommandContext['terminal'];
  #lastShownMs = Number.NEGATIVE_INFINITY;
  #lastPercent = 0;
  #isLineOpen = false;

  /** `label`: what is being done, as "drive-scsi0". */
  constructor(
    private readonly label: string,
    private readonly context: Pick<CommandContext, 'terminal' | 'clock'>,
  ) {
    this.#terminal = context.terminal;
    this.#startMs = context.clock.monotonicMs();
    if (!this.#terminal.isInteractive) this.#lastShownMs = this.#startMs;
  }

  update(doneBytes: number, totalBytes: number): void {
    const nowMs = this.context.clock.monotonicMs();
    const percent = percentOf(doneBytes, totalBytes);
    const sinceMs = nowMs - this.#lastShownMs;
    const isDue = this.#terminal.isInteractive
      ? sinceMs >= REDRAW_MS
      : sinceMs >= LOG_EVERY_MS || percent - this.#lastPercent >= LOG_EVERY_PERCENT;
    // In a log the line that says what came of it is the last.
    if (!isDue || (percent === 100 && !this.#terminal.isInteractive)) return;
    this.#lastShownMs = nowMs;
    this.#lastPercent = percent - (percent % LOG_EVERY_PERCENT);
    if (this.#terminal.isInteractive) this.#redraw(this.#barLine(doneBytes, totalBytes, nowMs));
    else this.#terminal.err(`${this.#logLine(doneBytes, totalBytes, nowMs)}\n`);
  }

  /** The last line, which stays: what came of it. */
  finish(summary: string): void {
    const line = `${this.label}: ${summary}`;
    this.#terminal.err(this.#isLineOpen ? `\r${line}\x1b[K\n` : `${line}\n`);
    this.#isLineOpen = false;
  }

  /** Ends the redrawn line, so that an error begins a line of its own. Repeatable. */
  abandon(): void {
    if (this.#isLineOpen) this.#terminal.err('\n');
    this.#isLineOpen = false;
  }

  /** Since the beginning. */
  get durationMs(): number {
    return this.context.clock.monotonicMs() - this.#startMs;
  }

  #redraw(line: string): void {
    this.#terminal.err(`\r${line.slice(0, this.#width)}\x1b[K`);
    this.#isLineOpen = true;
  }

  /** One less than there is: a full line would scroll. */
  get #width(): number {
    return Math.max(20, this.#terminal.columns - 1);
  }

  /** The bar takes what the figures leave, and goes first where there is no room. */
  #barLine(doneBytes: number, totalBytes: number, nowMs: number): string {
    const percent = percentOf(doneBytes, totalBytes);
    const figures = `${String(percent).padStart(3)}% ${this.#figures(doneBytes, totalBytes, nowMs)}`;
    const room = this.#width - this.label.length - figures.length - '  []'.length;
    const characters = Math.min(BAR_CHARACTERS, room);
    if (characters < 4) return `${this.label} ${figures}`;
    const filled = Math.floor((percent / 100) * characters);
    return `${this.label} [${'#'.repeat(filled)}${'.'.repeat(characters - filled)}] ${figures}`;
  }

  #logLine(doneBytes: number, totalBytes: number, nowMs: number): string {
    return `${this.label}: ${percentOf(doneBytes, totalBytes)}% (${this.#figures(doneBytes, totalBytes, nowMs)})`;
  }

  #figures(doneBytes: number, totalBytes: number, nowMs: number): string {
    const elapsedMs = nowMs - this.#startMs;
    const etaMs = doneBytes > 0 ? ((totalBytes - doneBytes) / doneBytes) * elapsedMs : NaN;
    const eta = Number.isFinite(etaMs) ? formatDuration(etaMs) : '-';
    return `${formatBytes(doneBytes)} of ${formatBytes(totalBytes)}, ${formatRate(doneBytes, elapsedMs)}, ETA ${eta}`;
  }
}

/** Runs `work` with a progress line that is never left open. */
export async function withProgress<T>(
  label: string,
  context: Pick<CommandContext, 'terminal' | 'clock'>,
  work: (progress: Progress) => Promise<T>,
): Promise<T> {
  const progress = new Progress(label, context);
  try {
    return await work(progress);
  } finally {
    progress.abandon();
  }
}
