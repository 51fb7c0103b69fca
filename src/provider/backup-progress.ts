/**
 * What the backup of a guest tells the task log: for each drive why it is read in full or in part, then a line each 10 % of the whole or
 * 10 s, one at the end of each drive, and what it all came to. Pure: it turns counters into lines and decides when one is due.
 *
 * Percentages are of the work: for a drive of which only dirty regions are read, of those. Drives come one after the other; the rates of
 * a line are those since the line before, all others are averages.
 */
import type { VolumeProgress } from '../engine/types.js';
import type { Clock } from '../lib/clock.js';
import { VzvaultError } from '../lib/errors.js';
import { formatSnapshotId, type SnapshotId } from '../lib/guest.js';
import { formatBytes, formatDuration, formatRate, percent } from '../lib/units.js';
import type { DiskRequest } from './call.js';
import type { DriveDecision, FullReason } from './incremental-proof.js';

const linePercent = 10;
const lineIntervalMs = 10_000;

const nothing: VolumeProgress = {
  sizeBytes: 0,
  processedBytes: 0,
  unchangedBytes: 0,
  readBytes: 0,
  zeroBytes: 0,
  reusedBytes: 0,
  newBytes: 0,
  writtenBytes: 0,
  discardedBytes: 0,
};
const fields = Object.keys(nothing) as (keyof VolumeProgress)[];

/** Completes "mode full: …". docs/operations.md explains each. */
const fullReasons: Readonly<Record<FullReason, string>> = {
  'no-record': 'no earlier backup of this guest through this storage is known on this node',
  'qemu-unknown': 'the QEMU process of the guest cannot be identified',
  'qemu-restarted': 'QEMU runs anew since the last backup (guest restarted, rolled back, migrated or made anew)',
  'repository-changed': 'the last backup through this storage went into another repository',
  'snapshot-missing': 'the last backup is not in the repository any more',
  'snapshot-damaged': 'the last backup was found damaged',
  'disk-new': 'the disk was not in the last backup, or had no dirty bitmap then',
  'disk-resized': 'the disk has another size than in the last backup',
  'tpm-state': 'TPM state is always read whole',
  'bitmap-lost': 'its dirty bitmap is gone (disk detached, moved or replaced since the last backup)',
  'bitmap-none': 'Proxmox VE keeps no dirty bitmap of it',
};

/** What of a decision is told. */
type Told = { readonly mode: 'incremental'; readonly since: SnapshotId } | Extract<DriveDecision, { mode: 'full' }>;

/** The line at the beginning of a drive: why it is read as it is. */
export function driveLine(device: string, sizeBytes: number, decision: Told): string {
  const why =
    decision.mode === 'full'
      ? `mode full: ${fullReasons[decision.reason]}`
      : `mode incremental: only what changed since ${formatSnapshotId(decision.since)} is read`;
  return `${device}: ${formatBytes(sizeBytes)}, ${why}`;
}

export type ProgressDisk = Pick<DiskRequest, 'device' | 'sizeBytes' | 'bitmapMode' | 'dirtyBytes'>;

/** What there is to do, and what of it is done. */
interface Work {
  readonly doneBytes: number;
  readonly targetBytes: number;
}

interface Drive {
  readonly isIncremental: boolean;
  /** What QEMU counted as dirty; null where it is not known, or all is read. */
  readonly dirtyBytes: number | null;
  startedMs: number;
  counters: VolumeProgress;
}

/** What was read and written up to some moment. */
interface Mark {
  readonly atMs: number;
  readonly readBytes: number;
  readonly writtenBytes: number;
}

/** The lines of one guest. */
export class BackupProgress {
  readonly #drives: ReadonlyMap<string, Drive>;
  readonly #startedMs: number;
  #lastLine: Mark;
  #lastStep = 0;

  /** The clock starts here. */
  constructor(
    disks: readonly ProgressDisk[],
    private readonly clock: Pick<Clock, 'monotonicMs'>,
  ) {
    this.#startedMs = clock.monotonicMs();
    this.#drives = new Map(disks.map((disk) => [disk.device, newDrive(disk, this.#startedMs)]));
    this.#lastLine = { atMs: this.#startedMs, readBytes: 0, writtenBytes: 0 };
  }

  /** The drive's own clock starts here. */
  begin(device: string): void {
    this.#drive(device).startedMs = this.clock.monotonicMs();
  }

  /** A line where one is due, else null. The last one of the drive is left to `finish`. */
  update(device: string, counters: VolumeProgress): string | null {
    const drive = this.#drive(device);
    drive.counters = counters;
    const nowMs = this.clock.monotonicMs();
    const own = workOf(drive);
    const sum = this.#work();
    const step = stepOf(sum);
    if (percentOf(own) >= 100 || (step <= this.#lastStep && nowMs - this.#lastLine.atMs < lineIntervalMs)) return null;
    const line = [`${device}: ${formatWork(own)}`];
    if (this.#drives.size > 1) line.push(`; all drives: ${formatWork(sum)}`);
    line.push(`, ${this.#flow(this.#lastLine, nowMs)}`);
    this.#lineWasSaid(nowMs, step);
    return line.join('');
  }

  /** The last line of the drive. */
  finish(device: string, counters: VolumeProgress): string {
    const drive = this.#drive(device);
    drive.counters = counters;
    const nowMs = this.clock.monotonicMs();
    this.#lineWasSaid(nowMs, stepOf(this.#work()));
    const { sizeBytes, unchangedBytes, readBytes, writtenBytes } = counters;
    const size = formatBytes(sizeBytes);
    const what = drive.isIncremental ? `${formatBytes(sizeBytes - unchangedBytes)} dirty of ${size}` : size;
    const durationMs = nowMs - drive.startedMs;
    const read = `read ${formatBytes(readBytes)} (${formatRate(readBytes, durationMs)})`;
    const written = `written ${formatBytes(writtenBytes)} (${formatRate(writtenBytes, durationMs)})`;
    return `${device}: 100% (${what}) in ${formatDuration(durationMs)}, ${read}, ${written}`;
  }

  /** What the whole backup came to, once it is committed. `addedBytes`: what the files of the repository grew by. */
  summary(addedBytes: number): string[] {
    const durationMs = this.clock.monotonicMs() - this.#startedMs;
    const total = this.#total();
    const { sizeBytes, readBytes, unchangedBytes, reusedBytes, zeroBytes, newBytes, writtenBytes } = total;
    const share = (part: number): string => `${formatBytes(part)} (${sizeBytes === 0 ? 0 : percent(part, sizeBytes)}%)`;
    const lines = [
      `transferred ${formatBytes(readBytes)} in ${formatDuration(durationMs)} (${formatRate(readBytes, durationMs)})`,
      `reused ${share(unchangedBytes + reusedBytes)}: ${formatBytes(unchangedBytes)} unchanged and not read, ` +
        `${formatBytes(reusedBytes)} read and stored already`,
      `sparse ${share(zeroBytes)}`,
      `new ${share(newBytes)}, written ${formatBytes(writtenBytes)}; the repository grew by ${formatBytes(addedBytes)}`,
    ];
    if (total.discardedBytes > 0) lines.push(`gave ${formatBytes(total.discardedBytes)} of the fleecing images back`);
    return lines;
  }

  #drive(device: string): Drive {
    const drive = this.#drives.get(device);
    if (drive === undefined) throw new VzvaultError('E_INTERNAL', `${device} is not a drive of this backup`);
    return drive;
  }

  /** The counters of all drives, added up. */
  #total(): VolumeProgress {
    const total: { -readonly [field in keyof VolumeProgress]: number } = { ...nothing };
    for (const { counters } of this.#drives.values()) {
      for (const field of fields) total[field] += counters[field];
    }
    return total;
  }

  #work(): Work {
    const works = [...this.#drives.values()].map(workOf);
    return {
      doneBytes: works.reduce((sum, { doneBytes }) => sum + doneBytes, 0),
      targetBytes: works.reduce((sum, { targetBytes }) => sum + targetBytes, 0),
    };
  }

  /** Amounts of all drives, and their rates since then. */
  #flow(since: Mark, nowMs: number): string {
    const { readBytes, writtenBytes } = this.#total();
    const rate = (now: number, then: number): string => formatRate(now - then, nowMs - since.atMs);
    const read = `read ${formatBytes(readBytes)} (${rate(readBytes, since.readBytes)})`;
    return `${read}, written ${formatBytes(writtenBytes)} (${rate(writtenBytes, since.writtenBytes)})`;
  }

  #lineWasSaid(atMs: number, step: number): void {
    const { readBytes, writtenBytes } = this.#total();
    this.#lastLine = { atMs, readBytes, writtenBytes };
    this.#lastStep = step;
  }
}

function newDrive({ sizeBytes, bitmapMode, dirtyBytes }: ProgressDisk, startedMs: number): Drive {
  const isIncremental = bitmapMode === 'reuse';
  return {
    isIncremental,
    dirtyBytes: isIncremental ? dirtyBytes : null,
    startedMs,
    counters: { ...nothing, sizeBytes },
  };
}

function workOf({ dirtyBytes, counters }: Drive): Work {
  const { sizeBytes, processedBytes, unchangedBytes } = counters;
  return dirtyBytes === null
    ? { doneBytes: processedBytes, targetBytes: sizeBytes }
    : // QEMU counts whole granules: a dirty last one counts beyond the end.
      { doneBytes: processedBytes - unchangedBytes, targetBytes: Math.min(dirtyBytes, sizeBytes) };
}

function percentOf({ doneBytes, targetBytes }: Work): number {
  return percent(doneBytes, targetBytes);
}

function stepOf(work: Work): number {
  return Math.floor(percentOf(work) / linePercent);
}

function formatWork(work: Work): string {
  return `${percentOf(work)}% (${formatBytes(work.doneBytes)} of ${formatBytes(work.targetBytes)})`;
}
