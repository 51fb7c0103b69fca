/**
 * What a command gets from the composition root (src/cli.ts): the engine, the terminal, time, and the wish to stop. Commands reach
 * for nothing else, so tests run them with an engine in memory and a terminal made of strings.
 */

import type { Mount, StartMountOptions } from '../repository/mount.js';
import type { RepositoryEngine } from '../repository/repository.js';
import type { WaitingClock } from '../lib/clock.js';
import type { Sharing } from '../repository/sessions/sharing.js';

export interface Terminal {
  /** What was asked for: results, JSON. */
  out(text: string | Uint8Array): void;
  /** What is said beside it: progress, warnings, errors. */
  err(text: string): void;
  /** Whether somebody watches `err`: progress may redraw its line. */
  readonly isInteractive: boolean;
  readonly columns: number;
  /** Settles once all that was given to `out` is with its reader, or the reader is gone. */
  drained(): Promise<void>;
  /** Nobody reads `out` any more: there is no use in going on where it is all that is wanted. */
  readonly isOutputGone: boolean;
}

/** Where keys and passphrases come from; undefined where nobody said. */
export interface KeyOptions {
  /** Null: from none, whatever the storage has. */
  readonly keyFile: string | null | undefined;
  readonly passphraseFile: string | undefined;
  /** By the command line, so the repository has to be one that has keys; the environment may name it for others. */
  readonly isKeyFileGiven: boolean;
}

export interface CommandContext {
  readonly engine: RepositoryEngine;
  readonly terminal: Terminal;
  readonly clock: WaitingClock;
  /** This process's part in the repositories that it opens. */
  readonly sharing: Sharing;
  /** Aborted by Ctrl-C and SIGTERM. */
  readonly signal: AbortSignal;
  readonly version: string;
  readonly hostname: string;
  readonly storageConfigPath: string;
  /** Of the environment; what a command gets has its own options over them. */
  readonly keys: KeyOptions;
  /** Asks on the terminal without echo; null where there is none, or nothing was typed. The Buffer is the caller's to wipe. */
  readonly askSecret: (prompt: string) => Promise<Buffer | null>;
  /** All of standard input. */
  readonly readInput: () => Promise<Buffer>;
  /** Runs vzvault-fuse (src/repository/mount.ts). */
  readonly startMount: (options: StartMountOptions) => Promise<Mount>;
  /** Runs this program once more, beside us and beyond our end, with other arguments and nobody who listens. */
  readonly startKeeper: (args: readonly string[]) => void;
  /** Asks the daemon of this node whether it is there; E_DAEMON_UNREACHABLE. */
  readonly pingDaemon: () => Promise<{ readonly version: string; readonly pid: number }>;
}

/** Exit codes, documented in docs/cli.md. */
export const EXIT = { ok: 0, error: 1, usage: 2, damage: 3, interrupted: 130 } as const;
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** What a command does once its arguments are parsed. */
export type Action = Promise<ExitCode>;

export function printLine(terminal: Terminal, line: string): void {
  terminal.out(`${line}\n`);
}

export function printJson(terminal: Terminal, value: unknown): void {
  terminal.out(`${JSON.stringify(value, null, 2)}\n`);
}
