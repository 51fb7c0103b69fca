/** The command line `vzvault`: wiring only. What it does is in src/commands, what it means in docs/cli.md. */

import { spawn } from 'node:child_process';
import { hostname } from 'node:os';
import { buffer } from 'node:stream/consumers';
import { EXIT, type CommandContext, type Terminal } from './commands/context.js';
import { createProgram } from './commands/program.js';
import { runProgram } from './commands/run.js';
import { askOnTerminal } from './commands/terminal-secret.js';
import { engine } from './engine/index.js';
import { systemClock } from './lib/clock.js';
import { pause, withSignal } from './lib/deadline.js';
import { VzvaultError } from './lib/errors.js';
import { systemProcesses } from './lib/process-identity.js';
import { VERSION } from './lib/version.js';
import { STORAGE_CONFIG_PATH } from './repository/locate.js';
import { startMount } from './repository/mount.js';
import { sharingOf } from './repository/sessions/sharing.js';
import { DaemonClient } from './rpc/client.js';

const DEFAULT_SOCKET = '/run/vzvault/vzvaultd.sock';
const PING_TIMEOUT_MS = 3_000;
/** After Ctrl-C the command has this long to clean up; a mount that hangs in the kernel cannot. */
const CLEANUP_MS = 10_000;

/** A pipe takes only so much at a time; what it has not taken yet is gone when the process ends. */
async function written(stream: NodeJS.WriteStream): Promise<void> {
  await new Promise<void>((settle) => {
    // Also where it fails: whoever stopped reading wants no more.
    stream.write('', () => {
      settle();
    });
  });
}

const terminal: Terminal = {
  out: (text) => {
    process.stdout.write(text);
  },
  err: (text) => {
    process.stderr.write(text);
  },
  drained: () => written(process.stdout),
  isInteractive: process.stderr.isTTY,
  get columns() {
    return process.stderr.columns || 80;
  },
  get isOutputGone() {
    return process.stdout.destroyed || process.stdout.errored !== null;
  },
};

async function pingDaemon(): Promise<{ version: string; pid: number }> {
  const socketPath = process.env['VZVAULT_SOCKET'] ?? DEFAULT_SOCKET;
  const client = await DaemonClient.connect({ socketPath, client: `cli/${VERSION}`, timeoutMs: PING_TIMEOUT_MS });
  try {
    return await client.call('daemon.ping', {}, { deadlineMs: PING_TIMEOUT_MS });
  } finally {
    client.close();
  }
}

/** A variable that is set to nothing is not set. */
function nonEmpty(text: string | undefined): string | undefined {
  return text === '' ? undefined : text;
}

/** The first signal asks to stop, the second does not ask. */
function interruption(): AbortSignal {
  const controller = new AbortController();
  const onSignal = (): void => {
    if (controller.signal.aborted) process.exit(EXIT.interrupted);
    controller.abort(new VzvaultError('E_CANCELLED', 'interrupted'));
  };
  process.on('SIGINT', onSignal);
  process.on('SIGTERM', onSignal);
  return controller.signal;
}

function startKeeper(args: readonly string[]): void {
  const [, script = ''] = process.argv;
  spawn(process.execPath, [script, ...args], { cwd: '/', detached: true, stdio: 'ignore' }).unref();
}

/** Settles some time after the signal, for what does not settle by itself. */
async function givenUp(signal: AbortSignal): Promise<typeof EXIT.interrupted> {
  await withSignal(new Promise(() => undefined), signal).catch(() => undefined);
  await pause(CLEANUP_MS);
  terminal.err('vzvault: the storage does not answer; unfinished files may be left in its tmp/\n');
  return EXIT.interrupted;
}

async function main(): Promise<number> {
  const signal = interruption();
  const context: CommandContext = {
    engine,
    terminal,
    clock: systemClock,
    sharing: sharingOf({ hostname: hostname(), processes: systemProcesses, clock: systemClock }),
    signal,
    version: VERSION,
    hostname: hostname(),
    storageConfigPath: STORAGE_CONFIG_PATH,
    keys: {
      keyFile: nonEmpty(process.env['VZVAULT_KEY_FILE']),
      passphraseFile: nonEmpty(process.env['VZVAULT_PASSPHRASE_FILE']),
      isKeyFileGiven: false,
    },
    askSecret: askOnTerminal,
    readInput: () => buffer(process.stdin),
    startMount,
    startKeeper,
    pingDaemon,
  };
  const args = process.argv.slice(2);
  const run = async (): Promise<number> => {
    const code = await runProgram(createProgram(context), context, args);
    // A reader that reads no further is left with Ctrl-C.
    const all = Promise.all([process.stdout, process.stderr].map(written));
    await withSignal(all, signal).catch(() => undefined);
    return code;
  };
  return await Promise.race([run(), givenUp(signal)]);
}

// A reader that has seen enough (`vzvault list | head`) is no failure, and no reason to leave a command half done: `forget` goes on,
// and the exit code says what came of it. The same for whoever watched the progress.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') process.exit(EXIT.error);
  });
}

// Not exitCode: a thread that hangs in the kernel must not keep the process.
process.exit(await main());
