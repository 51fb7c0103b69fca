/**
 * Which process: a pid together with the time it began, since the kernel gives a pid to another process later. Sessions are owned by such
 * a pair, and a process is only ever ended when the pair still names it.
 *
 * That a process has ended is only believed where the kernel says so. Looking can fail for reasons of our own (no descriptor or no memory is
 * left), and whoever took that for an end would take running backups and mounted restores away.
 *
 * Reads /proc with plain synchronous calls: it is memory, never a disk or a mount.
 */
import { readFileSync, readlinkSync } from 'node:fs';

export interface ProcessIdentity {
  readonly pid: number;
  /** Clock ticks since boot at which the process began: field 22 of /proc/PID/stat (proc(5)). */
  readonly startTicks: number;
}

/** How sessions look at processes; tests own another one. */
export interface ProcessTable {
  /** Null where there is no such process, it has ended (a zombie has), or it cannot be told. */
  identify(pid: number): ProcessIdentity | null;
  /** Whether it is certain: there is no such process, it is a zombie, or another one has its pid. */
  hasEnded(process: ProcessIdentity): boolean;
  /** The arguments of a running process; empty where there is none, null where it cannot be told. */
  commandLine(pid: number): readonly string[] | null;
  /** Random, made anew by the kernel at every boot (random(4)); null where it cannot be told. */
  bootId(): string | null;
  /** Which processes can be seen: pids of two namespaces have nothing to do with each other (pid_namespaces(7)). Null where it cannot be told. */
  pidNamespace(): string | null;
}

/** The kernel's table. `readText` answers the content of a file below /proc, or throws what the kernel says. */
export function processTable(readText: (path: string) => string): ProcessTable {
  const look = (pid: number): Look => {
    const stat = readProcess(readText, pid, 'stat');
    return typeof stat === 'string' ? parseStat(stat) : stat;
  };
  return {
    identify: (pid) => {
      const { startTicks } = look(pid);
      return startTicks === null ? null : { pid, startTicks };
    },
    hasEnded: ({ pid, startTicks }) => {
      const seen = look(pid);
      return seen.startTicks === null ? seen.hasEnded : seen.startTicks !== startTicks;
    },
    commandLine: (pid) => {
      const text = readProcess(readText, pid, 'cmdline');
      if (typeof text !== 'string') return text.hasEnded ? [] : null;
      return text === '' ? [] : text.replace(/\0$/, '').split('\0');
    },
    bootId: () => {
      try {
        return readText('/proc/sys/kernel/random/boot_id').trim();
      } catch {
        return null;
      }
    },
    pidNamespace: () => {
      try {
        return readlinkSync('/proc/self/ns/pid');
      } catch {
        return null;
      }
    },
  };
}

export const systemProcesses = processTable((path) => readFileSync(path, 'utf8'));

/** Whether it runs, as far as can be told: one that cannot be seen just now counts as alive. */
export function isAlive(process: ProcessIdentity, table: ProcessTable): boolean {
  return !table.hasEnded(process);
}

/** What one look at a process showed. */
type Look = { readonly startTicks: number } | Unseen;
interface Unseen {
  readonly startTicks: null;
  /** False: it could not be told. */
  readonly hasEnded: boolean;
}

const ENDED: Unseen = { startTicks: null, hasEnded: true };
const UNKNOWN: Unseen = { startTicks: null, hasEnded: false };

/** Field 22 of a /proc/PID/stat line, unless the process has ended. The name in field 2 may hold blanks and parentheses. */
export function parseStat(stat: string): Look {
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const state = fields[0] ?? '';
  const startTicks = Number(fields[19]);
  if (state === '' || !Number.isSafeInteger(startTicks)) return UNKNOWN;
  return 'ZXx'.includes(state) ? ENDED : { startTicks };
}

function readProcess(readText: (path: string) => string, pid: number, file: string): string | Unseen {
  if (!Number.isSafeInteger(pid) || pid < 1) return ENDED;
  try {
    return readText(`/proc/${pid}/${file}`);
  } catch (error) {
    // No such process, or one that ended while it was read (proc(5)).
    const { code } = error as NodeJS.ErrnoException;
    return code === 'ENOENT' || code === 'ESRCH' ? ENDED : UNKNOWN;
  }
}
