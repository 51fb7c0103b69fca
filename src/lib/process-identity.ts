/**
 * Which process: a pid together with the time it began, since the kernel gives a pid to another process later. Sessions are owned by such
 * a pair, and a process is only ever ended when the pair still names it.
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
  /** Null where there is no such process or it has ended (a zombie has). */
  identify(pid: number): ProcessIdentity | null;
  /** The arguments of a running process; empty where there is none. */
  commandLine(pid: number): readonly string[];
  /** Random, made anew by the kernel at every boot (random(4)); null where /proc is not there. */
  bootId(): string | null;
  /** Which processes can be seen: pids of two namespaces have nothing to do with each other (pid_namespaces(7)). Null where it cannot be told. */
  pidNamespace(): string | null;
}

export const systemProcesses: ProcessTable = {
  identify: (pid) => {
    const stat = readProc(pid, 'stat');
    const startTicks = stat === null ? null : parseStartTicks(stat);
    return startTicks === null ? null : { pid, startTicks };
  },
  commandLine: (pid) => {
    const text = readProc(pid, 'cmdline') ?? '';
    return text === '' ? [] : text.replace(/\0$/, '').split('\0');
  },
  bootId: () => read('/proc/sys/kernel/random/boot_id')?.trim() ?? null,
  pidNamespace: () => {
    try {
      return readlinkSync('/proc/self/ns/pid');
    } catch {
      return null;
    }
  },
};

export function isAlive(process: ProcessIdentity, table: ProcessTable): boolean {
  return table.identify(process.pid)?.startTicks === process.startTicks;
}

/** Field 22 of a /proc/PID/stat line, or null where the process has ended. The name in field 2 may hold blanks and parentheses. */
export function parseStartTicks(stat: string): number | null {
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const state = fields[0] ?? '';
  const startTicks = Number(fields[19]);
  if (state === '' || 'ZXx'.includes(state) || !Number.isSafeInteger(startTicks)) return null;
  return startTicks;
}

function readProc(pid: number, file: string): string | null {
  return Number.isSafeInteger(pid) && pid >= 1 ? read(`/proc/${pid}/${file}`) : null;
}

function read(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
}
