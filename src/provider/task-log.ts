/**
 * Our lines in the log of one guest's task, and how they get into Proxmox VE's file of it.
 *
 * What a backup provider says goes to the task log of the whole job only; the file per guest that PVE hands over afterwards lacks it
 * (pve-manager VZDump.pm gives the provider a log function without the file). So the lines are remembered as they are sent, and merged by
 * time. PVE's lines begin with the local time (pve-guest-common VZDump/Plugin.pm, debugmsg), in whole seconds. Within a second they come
 * before ours, up to the last that PVE says before it has the disks read, and those after that come after ours. Pure, but
 * for the time zone of the process, which is the node's as it is PVE's.
 *
 * Invariants: what is kept is bounded; every byte of PVE's file is in the result, in its order, unless both together are longer
 * than `taskLogLimits.mergedBytes`: then the middle is left out and a line says so.
 */
import type { Clock } from '../lib/clock.js';
import { taskLogLimits } from '../lib/limits.js';
import type { LogLevel } from './call.js';

const levelNames: Readonly<Record<LogLevel, string>> = { info: 'INFO', warn: 'WARN', err: 'ERROR' };

/** Something that stays together at a time. */
interface Entry {
  readonly seconds: number;
  readonly bytes: Buffer;
}

interface TheirEntry extends Entry {
  /** Whether PVE said it when the disks had been read. */
  readonly isAfterDisks: boolean;
}

const newline = 0x0a;
/** What PVE says of each disk right before it has them read (qemu-server VZDump/QemuServer.pm, archive_external). */
const diskLines = ['INFO: adding NBD export for ', 'INFO: provided NBD export as a virtual file '];
/** `2026-11-22 04:17:14 `, in bytes that need not be text. */
const timeLength = 20;
const timePattern = /^(\d{4})-(\d\d)-(\d\d) (\d\d):([0-5]\d):([0-5]\d) $/;
/** By so much clocks are set back in autumn: an hour, on Lord Howe Island half of one. */
const shifts = [-3600, -1800, 0, 1800, 3600];

export class TaskLog {
  readonly #head: Entry[] = [];
  readonly #tail: Entry[] = [];
  readonly #beganSeconds: number;
  #headBytes = 0;
  #tailBytes = 0;
  #leftOut = 0;

  constructor(private readonly clock: Pick<Clock, 'nowSeconds'>) {
    this.#beganSeconds = clock.nowSeconds();
  }

  /** Remembers a line that is sent now. The first and the last lines are kept where they are too many. */
  add(level: LogLevel, message: string): void {
    const entry = this.#entry(level, message, this.clock.nowSeconds());
    if (this.#tail.length === 0 && this.#headBytes + entry.bytes.length <= taskLogLimits.headBytes) {
      this.#head.push(entry);
      this.#headBytes += entry.bytes.length;
      return;
    }
    this.#tail.push(entry);
    this.#tailBytes += entry.bytes.length;
    while (this.#tailBytes > taskLogLimits.tailBytes) {
      this.#tailBytes -= this.#tail.shift()?.bytes.length ?? 0;
      this.#leftOut += 1;
    }
  }

  /** PVE's file with our lines in it, at most `taskLogLimits.mergedBytes`, ending with a newline unless it is empty. */
  merge(file: Buffer): Buffer {
    const ours = this.#lines();
    const first = ours[0]?.seconds ?? this.#beganSeconds;
    const theirs = entriesOf(file, first);
    const merged: Buffer[] = [];
    let next = 0;
    // A clock that was set back must not put a line before one that was said earlier.
    let latest = -Infinity;
    for (const entry of theirs) {
      for (; next < ours.length; next += 1) {
        const { seconds = 0, bytes = Buffer.alloc(0) } = ours[next] ?? {};
        latest = Math.max(latest, seconds);
        if (entry.isAfterDisks ? entry.seconds < latest : entry.seconds <= latest) break;
        merged.push(bytes);
      }
      merged.push(entry.bytes);
    }
    for (const { bytes } of ours.slice(next)) merged.push(bytes);
    return bounded(Buffer.concat(merged));
  }

  #lines(): Entry[] {
    const [first] = this.#tail;
    if (this.#leftOut === 0 || first === undefined) return [...this.#head, ...this.#tail];
    const gap = this.#entry('info', `(${this.#leftOut} lines were left out here)`, first.seconds);
    return [...this.#head, gap, ...this.#tail];
  }

  #entry(level: LogLevel, message: string, seconds: number): Entry {
    const line = message.replace(/\s*[\r\n]+\s*/g, ' ').slice(0, taskLogLimits.lineCharacters);
    return { seconds, bytes: Buffer.from(`${formatLocalTime(seconds)} ${levelNames[level]}: ${line}\n`, 'utf8') };
  }
}

/** `2026-11-22 04:17:14`, in the time zone of the process. */
export function formatLocalTime(seconds: number): string {
  const date = new Date(seconds * 1000);
  const two = (value: number): string => String(value).padStart(2, '0');
  const day = `${String(date.getFullYear()).padStart(4, '0')}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

/**
 * The lines of PVE's file; one without a time belongs to the one before it. Times never go back. `nearSeconds`: some time of
 * the same task, which tells the two hours apart that have the same name when clocks are set back.
 */
function entriesOf(file: Buffer, nearSeconds: number): TheirEntry[] {
  const entries: TheirEntry[] = [];
  const disksEnd = endOfDiskLines(file);
  const times = new LocalTimes();
  let latest: number | null = null;
  let lastText = '';
  let from = 0;
  const flush = (to: number): void => {
    const entry = { seconds: latest ?? -Infinity, bytes: file.subarray(from, to), isAfterDisks: from >= disksEnd };
    if (to > from) entries.push(entry);
    from = to;
  };
  for (let at = 0; at < file.length;) {
    if (at === disksEnd) flush(at);
    const text = file.toString('latin1', at, Math.min(at + timeLength, file.length));
    if (text !== lastText) {
      const seconds = choose(times.moments(text), latest, nearSeconds);
      if (seconds !== undefined) {
        flush(at);
        latest = Math.max(latest ?? seconds, seconds);
        lastText = text;
      }
    }
    const end = file.indexOf(newline, at);
    at = end === -1 ? file.length : end + 1;
  }
  flush(file.length);
  const last = entries.at(-1);
  if (last !== undefined && last.bytes.at(-1) !== newline) {
    entries.splice(-1, 1, { ...last, bytes: Buffer.concat([last.bytes, Buffer.from('\n')]) });
  }
  return entries;
}

/** Where the last line about a disk ends; Infinity where there is none. */
function endOfDiskLines(file: Buffer): number {
  const ends = diskLines.map((text) => {
    const at = file.lastIndexOf(text);
    if (at === -1 || at - (file.lastIndexOf(newline, at) + 1) !== timeLength) return 0;
    return file.indexOf(newline, at) + 1;
  });
  const end = Math.max(...ends);
  return end > 0 ? end : Infinity;
}

/** The moments that local times name. Ten minutes at a time: no clock was ever set back by less, or at another time. */
class LocalTimes {
  readonly #offsets = new Map<string, readonly number[]>();

  /** Of `2026-11-22 04:17:14 `: none where it is no time, two where clocks were set back over it; ascending. */
  moments(text: string): readonly number[] {
    const match = timePattern.exec(text);
    if (match === null) return [];
    const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = match.slice(1).map(Number);
    const block = text.slice(0, 15);
    const offsets = this.#offsets.get(block) ?? offsetsOf(block, [year, month, day, hour, minute - (minute % 10)]);
    this.#offsets.set(block, offsets);
    const inUtc = Date.UTC(year, month - 1, day, hour, minute, second) / 1000;
    return offsets.map((offset) => inUtc + offset);
  }
}

/** What to add to the moment that has that name in UTC; ascending. `block`: `2026-11-22 04:1`. */
function offsetsOf(
  block: string,
  [year, month, day, hour, minute]: [number, number, number, number, number],
): number[] {
  const local = new Date(year, month - 1, day, hour, minute).getTime() / 1000;
  const inUtc = Date.UTC(year, month - 1, day, hour, minute) / 1000;
  return shifts
    .map((shift) => local + shift)
    .filter((seconds) => formatLocalTime(seconds) === `${block}0:00`)
    .map((seconds) => seconds - inUtc);
}

/** The first that is not before `latest`, else the last; without a `latest` the one that is nearest to `near`. */
function choose(moments: readonly number[], latest: number | null, near: number): number | undefined {
  if (latest !== null) return moments.find((moment) => moment >= latest) ?? moments.at(-1);
  return [...moments].sort((a, b) => Math.abs(a - near) - Math.abs(b - near))[0];
}

/** The beginning and the end, cut between lines where there is a line to cut at. */
function bounded(log: Buffer): Buffer {
  const { mergedBytes } = taskLogLimits;
  if (log.length <= mergedBytes) return log;
  const note = Buffer.from('(the middle of this log was left out: it is too long to be kept)\n', 'utf8');
  const half = Math.floor((mergedBytes - note.length) / 2) - 1;
  const head = log.subarray(0, half);
  const tail = log.subarray(log.length - half);
  const headEnd = head.lastIndexOf(newline) + 1;
  const tailStart = tail.indexOf(newline) + 1;
  const parts = [
    headEnd > 0 ? head.subarray(0, headEnd) : Buffer.concat([head, Buffer.from('\n')]),
    note,
    tailStart > 0 && tailStart < tail.length ? tail.subarray(tailStart) : tail,
  ];
  return Buffer.concat(parts);
}
