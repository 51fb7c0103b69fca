/** Programs that tests start: waited for until ready, stopped by their pid, never by a name. */
import { spawn, type ChildProcess, type StdioOptions } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Cleanups } from './temp.js';

export interface Program {
  readonly pid: number;
  readonly child: ChildProcess;
  /** What it wrote to standard output and standard error so far. */
  output(): string;
  /** Resolves with how it ended: an exit code or a signal. */
  readonly ended: Promise<number | NodeJS.Signals>;
  /** Sends the signal and waits for the end; harmless afterwards. */
  stop(signal?: NodeJS.Signals): Promise<number | NodeJS.Signals>;
}

export interface ProgramOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly stdio?: StdioOptions;
}

export function startProgram(
  cleanups: Cleanups,
  command: string,
  args: readonly string[],
  options: ProgramOptions = {},
): Program {
  const child = spawn(command, args, {
    stdio: options.stdio ?? ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...options.env },
  });
  const chunks: Buffer[] = [];
  child.stdout?.on('data', (chunk: Buffer) => chunks.push(chunk));
  child.stderr?.on('data', (chunk: Buffer) => chunks.push(chunk));
  const ended = new Promise<number | NodeJS.Signals>((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code, signal) => {
      resolve(signal ?? code ?? -1);
    });
  });
  ended.catch(() => undefined);
  const program: Program = {
    pid: child.pid ?? -1,
    child,
    output: () => Buffer.concat(chunks).toString('utf8'),
    ended,
    stop: async (signal = 'SIGTERM') => {
      // A stopped process takes no signal but this one.
      if (child.exitCode === null && child.signalCode === null) {
        child.kill(signal);
        if (signal !== 'SIGSTOP') child.kill('SIGCONT');
      }
      const killer = setTimeout(() => child.kill('SIGKILL'), 15_000);
      try {
        return await ended;
      } finally {
        clearTimeout(killer);
      }
    },
  };
  cleanups.add(async () => {
    await program.stop();
  });
  return program;
}

/**
 * Stops a process with SIGSTOP, and resolves when all of its threads stand still: the signal alone returns before, and a server
 * that takes one more request then leaves its caller in the kernel, where nothing ends it. SIGCONT lets it go on.
 */
export async function freeze(pid: number): Promise<void> {
  process.kill(pid, 'SIGSTOP');
  await until(`process ${pid} stands still`, () => threadStatesOf(pid).every((state) => state === 'T'));
}

/** Of every thread the letter of proc(5); empty for one that ended just now. */
function threadStatesOf(pid: number): string[] {
  const tasks = `/proc/${pid}/task`;
  return readdirSync(tasks).map((tid) => {
    try {
      // Behind the name, which is in parentheses and may hold any other character.
      return /.*\) (\w)/s.exec(readFileSync(`${tasks}/${tid}/stat`, 'latin1'))?.[1] ?? '';
    } catch {
      return '';
    }
  });
}

/** Waits until `condition` holds; fails with `what` after `timeoutMs`. */
export async function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
  timeoutMs = 20_000,
): Promise<void> {
  const end = performance.now() + timeoutMs;
  while (!(await condition())) {
    if (performance.now() > end) throw new Error(`not within ${timeoutMs} ms: ${what}`);
    await sleep(20);
  }
}

/** Waits until the Unix socket accepts; fails with the program's output where it ends before. */
export async function untilAccepting(program: Program, socketPath: string): Promise<void> {
  (await firstConnection(program, socketPath)).destroy();
}

/**
 * The first connection that the program accepts at its Unix socket, for a program that is not to see one come and go before; fails with
 * the program's output where it ends before.
 */
export async function firstConnection(program: Program, socketPath: string): Promise<Socket> {
  let socket: Socket | null = null;
  await until(`${socketPath} accepts`, async () => {
    if (program.child.exitCode !== null || program.child.signalCode !== null) {
      throw new Error(`ended before ${socketPath} accepted: ${program.output()}`);
    }
    socket = await connected(socketPath);
    return socket !== null;
  });
  return socket!;
}

/** Null where nobody listens. */
function connected(socketPath: string): Promise<Socket | null> {
  return new Promise((resolve) => {
    const socket = connect(socketPath);
    const fail = (): void => {
      resolve(null);
    };
    socket.once('error', fail);
    socket.once('connect', () => {
      socket.off('error', fail);
      resolve(socket);
    });
  });
}
