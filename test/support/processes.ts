/** Programs that tests start: waited for until ready, stopped by their pid, never by a name. */
import { spawn, type ChildProcess, type StdioOptions } from 'node:child_process';
import { existsSync } from 'node:fs';
import { connect } from 'node:net';
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
export async function untilAccepting(program: Program, socketPath: string, timeoutMs = 20_000): Promise<void> {
  await until(
    `${socketPath} accepts`,
    async () => {
      if (program.child.exitCode !== null || program.child.signalCode !== null) {
        throw new Error(`ended before ${socketPath} accepted: ${program.output()}`);
      }
      return existsSync(socketPath) && (await accepts(socketPath));
    },
    timeoutMs,
  );
}

function accepts(socketPath: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(socketPath);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => {
      resolve(false);
    });
  });
}
