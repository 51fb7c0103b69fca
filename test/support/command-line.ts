/** Runs commands in this process, with a terminal made of strings and a clock that the test owns. */
import { pause } from '../../src/lib/deadline.js';
import { VzvaultError } from '../../src/lib/errors.js';
import type { CommandContext } from '../../src/commands/context.js';
import { createProgram } from '../../src/commands/program.js';
import { runProgram } from '../../src/commands/run.js';
import { sharingOf } from '../../src/repository/sessions/sharing.js';
import { SECOND } from './documents.js';
import { FakeEngine } from './fake-engine.js';
import { FakeProcesses } from './fake-processes.js';

export interface Outcome {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

export class CommandLine {
  readonly engine = new FakeEngine();
  readonly processes = new FakeProcesses();
  /** The arguments of every program that was left behind. */
  readonly keepers: (readonly string[])[] = [];
  nowSeconds = SECOND;
  /** How commands wait; tests may be in a hurry. */
  sleep: CommandContext['clock']['sleep'] = pause;
  isInteractive = false;
  storageConfigPath = '/nonexistent/storage.cfg';
  pingDaemon: CommandContext['pingDaemon'] = () =>
    Promise.reject(new VzvaultError('E_DAEMON_UNREACHABLE', 'no socket'));
  startMount: CommandContext['startMount'] = () =>
    Promise.reject(new VzvaultError('E_MOUNT_FAILED', 'this test mounts nothing'));
  /** What the environment names. */
  keyFile: string | undefined;
  /** What is typed where passphrases are asked for, one after the other; nothing where they are used up. */
  readonly secrets: string[] = [];
  /** Every question that was asked. */
  readonly prompts: string[] = [];
  input = '';
  #stop = new AbortController();

  /** What Ctrl-C does to whatever runs, and to nothing that is run later. */
  interrupt(): void {
    this.#stop.abort(new VzvaultError('E_CANCELLED', 'interrupted'));
  }

  async run(...args: string[]): Promise<Outcome> {
    this.#stop = new AbortController();
    const out: Buffer[] = [];
    let err = '';
    const clock = { nowSeconds: () => this.nowSeconds, monotonicMs: () => performance.now(), sleep: this.sleep };
    const context: CommandContext = {
      engine: this.engine,
      terminal: {
        out: (text) => {
          out.push(Buffer.from(text as string));
        },
        err: (text) => {
          err += text;
        },
        isInteractive: this.isInteractive,
        columns: 80,
        drained: () => Promise.resolve(),
        isOutputGone: false,
      },
      clock,
      sharing: sharingOf({ hostname: 'node1', processes: this.processes, clock }),
      signal: this.#stop.signal,
      version: '0.1.0',
      hostname: 'node1',
      storageConfigPath: this.storageConfigPath,
      keys: { keyFile: this.keyFile, passphraseFile: undefined, isKeyFileGiven: false },
      askSecret: async (prompt) => {
        this.prompts.push(prompt);
        const typed = this.secrets.shift();
        return typed === undefined ? null : Buffer.from(typed);
      },
      readInput: async () => Buffer.from(this.input),
      startMount: (options) => this.startMount(options),
      startKeeper: (args) => {
        this.keepers.push(args);
      },
      pingDaemon: () => this.pingDaemon(),
    };
    const code = await runProgram(createProgram(context), context, args);
    return { code, out: Buffer.concat(out).toString(), err };
  }

  /** Runs with --json and answers what was printed; throws where that is not JSON. */
  async json(...args: string[]): Promise<unknown> {
    const { out, err } = await this.run(...args, '--json');
    if (out === '') throw new Error(`no output: ${err}`);
    return JSON.parse(out) as unknown;
  }
}
