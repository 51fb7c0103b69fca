/**
 * The end of a process or of its machine at a chosen change of a MemoryDisk. What answered is durable, as the port promises (that the
 * implementation keeps it, native/test/crash shows); of the change that did not answer nothing is there, only the directories that it needed, or all.
 */
import { posix } from 'node:path';
import type { Call, MemoryDisk } from './memory-directory.js';

/** What was left of the change during which it ended; `all` is the next change's `nothing`. */
export const remains = ['nothing', 'directories'] as const;
export type Remains = (typeof remains)[number];

const changes: ReadonlySet<Call> = new Set<Call>(['makeDirectories', 'putIfAbsent', 'replace', 'remove']);

export interface Crash {
  /** Resolves when it has happened. */
  readonly happened: Promise<void>;
  /** The disk serves those who come afterwards. */
  restart(): void;
}

/** Whoever uses the disk from its n-th change on (from 0) never hears from it again. */
export function crashAt(disk: MemoryDisk, changeNumber: number, left: Remains): Crash {
  const silence = new Promise<void>(() => undefined);
  let count = 0;
  let crash = (): void => undefined;
  const happened = new Promise<void>((resolve) => {
    crash = resolve;
  });
  disk.fault = (call, path) => {
    if (count > changeNumber) return silence;
    if (!changes.has(call)) return undefined;
    if (count++ < changeNumber) return undefined;
    if (left === 'directories' && call !== 'remove') disk.makeDirectory(posix.dirname(path));
    crash();
    return silence;
  };
  return {
    happened,
    restart: () => {
      disk.fault = () => undefined;
    },
  };
}
