/**
 * The file that vzvault-fuse logs into while it serves a restore, read as it grows.
 *
 * A file, because the program outlives the daemon, and the next daemon has to learn what happened too. It lies in memory: plain synchronous
 * calls, each of a bounded size. Invariants: lines come once, in their order, and whole; where more was written than is read at a time, the
 * earlier part is left out and a line says so; a file that grew long is emptied once it was read.
 */
import { closeSync, fstatSync, ftruncateSync, openSync, readSync } from 'node:fs';
import { mountLimits } from '../lib/limits.js';

const newline = 0x0a;

export class MountLogFile {
  #offset = 0;
  #kept: readonly string[] = [];

  constructor(private readonly path: string) {}

  /** The lines since the last time, without their ends; none where there is no file. Never fails. */
  take(): readonly string[] {
    const lines = [...this.#kept, ...this.#read(false)];
    this.#kept = [];
    return lines;
  }

  /** Keeps what `take` has not given out, for the time after the file was removed. REQUIRES: nobody writes any more. */
  keepRest(): void {
    this.#kept = [...this.#kept, ...this.#read(true)];
  }

  /** `isOver`: what has no end yet will not get one. */
  #read(isOver: boolean): string[] {
    let fd: number;
    try {
      fd = openSync(this.path, 'r+');
    } catch {
      return [];
    }
    try {
      return this.#readFrom(fd, isOver);
    } catch {
      return [];
    } finally {
      closeSync(fd);
    }
  }

  #readFrom(fd: number, isOver: boolean): string[] {
    const { size } = fstatSync(fd);
    const begin = size < this.#offset ? 0 : this.#offset;
    const from = Math.max(begin, size - mountLimits.logReadBytes);
    const buffer = Buffer.alloc(size - from);
    const bytes = buffer.subarray(0, readSync(fd, buffer, 0, buffer.length, from));
    const first = from > begin ? bytes.indexOf(newline) + 1 : 0;
    const end = isOver ? bytes.length : bytes.lastIndexOf(newline) + 1;
    this.#offset = from + end;
    // A line that is written right now would be lost, which costs less than a file without bounds.
    if (this.#offset === size && size > mountLimits.logFileBytes) {
      ftruncateSync(fd, 0);
      this.#offset = 0;
    }
    const lines = bytes
      .subarray(first, Math.max(first, end))
      .toString('utf8')
      .split('\n')
      .filter((line) => line !== '');
    return from > begin ? [`(${from + first - begin} bytes were left out here)`, ...lines] : lines;
  }
}
