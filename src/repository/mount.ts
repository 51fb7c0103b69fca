/**
 * Starting and ending vzvault-fuse.
 *
 * The program gets its mount spec on descriptor 3 (never by argument or environment), and says `ready` on standard output once the mount
 * is there, or `failed CODE: message` where it never will be (docs/mount.md). It leads a session of its own, so that neither a terminal's Ctrl-C nor the end of whoever started it takes the mount
 * away. Whoever calls `startMount` owns the mount until it calls `stop` or leaves it to somebody else with `release`.
 */

import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, existsSync, openSync } from 'node:fs';
import { delimiter, join, resolve } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { abortReason, pause, withDeadline } from '../lib/deadline.js';
import { isErrorCode, VzvaultError } from '../lib/errors.js';
import { mountLimits } from '../lib/limits.js';
import { wipe } from './keys/key-material.js';
import { encodeMountSpec, type MountSpec } from './mount-spec.js';

const PROGRAM = 'vzvault-fuse';

/** Where the lines that vzvault-fuse logs go. */
export type MountLog =
  /** Appended to a file, also after we ended. */
  | { readonly kind: 'file'; readonly path: string }
  /** To a function, as long as we run; later lines are lost. */
  | { readonly kind: 'lines'; readonly onLine: (line: string) => void };

export interface StartMountOptions {
  /** An existing, empty directory. */
  readonly directory: string;
  readonly spec: MountSpec;
  readonly log: MountLog;
  /** Of vzvault-fuse; found by itself where it is not given. */
  readonly program?: string;
  readonly readyTimeoutMs?: number;
  /** Aborted before the mount is ready: it is given up. */
  readonly signal?: AbortSignal;
}

export interface Mount {
  readonly pid: number;
  /** Settles when the program has ended, however it came to that. Never rejects. */
  readonly ended: Promise<void>;
  /** Unmounts and waits for the end, by force after a while. Repeatable. */
  stop(): Promise<void>;
  /** Lets our process end while the mount lives on. */
  release(): void;
}

/** The program beside ours (build/bin, or where the package puts it), else one in PATH; E_MOUNT_FAILED where there is none. */
export function findMountProgram(environmentPath = process.env['PATH'] ?? ''): string {
  const beside = resolve(import.meta.dirname, '../../../bin', PROGRAM);
  const candidates = [
    beside,
    ...environmentPath
      .split(delimiter)
      .filter(Boolean)
      .map((folder) => join(folder, PROGRAM)),
  ];
  const found = candidates.find((candidate) => existsSync(candidate));
  if (found === undefined)
    throw new VzvaultError('E_MOUNT_FAILED', `there is no program ${PROGRAM}, neither ${beside} nor in PATH`);
  return found;
}

/** Mounts. E_MOUNT_FAILED with what vzvault-fuse said, E_CANCELLED (or the signal's reason). */
export async function startMount(options: StartMountOptions): Promise<Mount> {
  if (options.signal?.aborted === true) throw abortReason(options.signal);
  const child = launch(options);
  const ended = new Promise<void>((settle) => {
    child.once('close', () => {
      settle();
    });
    child.once('error', () => {
      settle();
    });
  });
  followLog(child, options.log);
  const mount = mountOf(child, options.directory, ended);
  try {
    const ready = waitUntilReady(child, options, ended);
    sendSpec(child, options.spec);
    const timeoutMs = options.readyTimeoutMs ?? mountLimits.readyMs;
    await withDeadline(ready, timeoutMs, 'E_MOUNT_FAILED', `mounting on ${options.directory}`);
    return mount;
  } catch (error) {
    await mount.stop();
    throw error;
  }
}

/** Takes a mount out of the directory tree, also where its program hangs or is gone. Answers whether anything was unmounted. */
export async function unmountLazily(directory: string): Promise<boolean> {
  const root = process.geteuid?.() === 0;
  const [program, args] = root ? ['umount', ['-l', directory]] : ['fusermount3', ['-u', '-z', directory]];
  const child = spawn(program, args, { stdio: 'ignore' });
  const code = await new Promise<number | null>((settle) => {
    child.once('error', () => {
      settle(null);
    });
    child.once('exit', settle);
  });
  return code === 0;
}

function launch({ program = findMountProgram(), directory, log }: StartMountOptions): ChildProcess {
  const logFd = log.kind === 'file' ? openSync(log.path, 'a', 0o600) : null;
  try {
    return spawn(program, ['--spec-fd', '3', directory], {
      // Its own directory must not keep another file system busy.
      cwd: '/',
      detached: true,
      stdio: ['ignore', 'pipe', logFd ?? 'pipe', 'pipe'],
    });
  } finally {
    if (logFd !== null) closeSync(logFd);
  }
}

function sendSpec(child: ChildProcess, spec: MountSpec): void {
  const pipe = child.stdio[3] as Writable;
  // A program that ended early breaks the pipe; what it said is the better error.
  pipe.on('error', () => undefined);
  const bytes = encodeMountSpec(spec);
  pipe.end(bytes, () => {
    wipe(bytes);
  });
}

function followLog(child: ChildProcess, log: MountLog): void {
  if (log.kind === 'lines' && child.stderr !== null) onLines(child.stderr, log.onLine);
}

async function waitUntilReady(child: ChildProcess, options: StartMountOptions, ended: Promise<void>): Promise<void> {
  const { directory, signal } = options;
  await new Promise<void>((settle, reject) => {
    const onAbort = (): void => {
      reject(signal === undefined ? new VzvaultError('E_CANCELLED', 'the mount was given up') : abortReason(signal));
    };
    signal?.addEventListener('abort', onAbort, { once: true });
    child.once('error', (cause) => {
      reject(new VzvaultError('E_MOUNT_FAILED', `starting ${PROGRAM}: ${cause.message}`, { cause }));
    });
    if (child.stdout !== null) {
      onLines(child.stdout, (line) => {
        if (line === 'ready') settle();
        else reject(failureOf(line, directory));
      });
    }
    void ended.then(() => {
      signal?.removeEventListener('abort', onAbort);
      const why = child.signalCode ?? `code ${String(child.exitCode)}`;
      reject(new VzvaultError('E_MOUNT_FAILED', `mounting on ${directory}: ${PROGRAM} ended with ${why}`));
    });
  });
}

function failureOf(line: string, directory: string): VzvaultError {
  const [, code = '', message = line] = /^failed (E_[A-Z_]+): (.*)$/.exec(line) ?? [];
  return new VzvaultError(isErrorCode(code) ? code : 'E_MOUNT_FAILED', `mounting on ${directory}: ${message}`);
}

function mountOf(child: ChildProcess, directory: string, ended: Promise<void>): Mount {
  const hasEnded = (): boolean => child.exitCode !== null || child.signalCode !== null || child.pid === undefined;
  const endsWithin = async (timeoutMs: number): Promise<boolean> => {
    await Promise.race([ended, pause(timeoutMs)]);
    return hasEnded();
  };
  return {
    pid: child.pid ?? 0,
    ended,
    stop: async () => {
      if (hasEnded()) return;
      child.kill('SIGTERM');
      if (await endsWithin(mountLimits.stopMs)) return;
      await unmountLazily(directory);
      child.kill('SIGKILL');
      await endsWithin(mountLimits.stopMs);
    },
    release: () => {
      child.unref();
      for (const stream of child.stdio) (stream as (Readable & { unref?: () => void }) | null)?.unref?.();
    },
  };
}

function onLines(stream: Readable, onLine: (line: string) => void): void {
  let rest = '';
  stream.setEncoding('utf8');
  stream.on('data', (text: string) => {
    const lines = (rest + text).split('\n');
    rest = (lines.pop() ?? '').slice(-mountLimits.logLineCharacters);
    for (const line of lines) if (line !== '') onLine(line);
  });
}
