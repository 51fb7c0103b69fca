/** Runs commands in this process, with a terminal made of strings and a clock that the test owns. */
import { VzvaultError } from '../../src/lib/errors.js';
import type { CommandContext } from '../../src/commands/context.js';
import { createProgram } from '../../src/commands/program.js';
import { runProgram } from '../../src/commands/run.js';
import { SECOND } from './documents.js';
import { FakeEngine } from './fake-engine.js';

export interface Outcome {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

export class CommandLine {
  readonly engine = new FakeEngine();
  nowSeconds = SECOND;
  isInteractive = false;
  storageConfigPath = '/nonexistent/storage.cfg';
  pingDaemon: CommandContext['pingDaemon'] = () =>
    Promise.reject(new VzvaultError('E_DAEMON_UNREACHABLE', 'no socket'));
  startMount: CommandContext['startMount'] = () =>
    Promise.reject(new VzvaultError('E_MOUNT_FAILED', 'this test mounts nothing'));
  #stop = new AbortController();

  /** What Ctrl-C does to whatever runs, and to nothing that is run later. */
  interrupt(): void {
    this.#stop.abort(new VzvaultError('E_CANCELLED', 'interrupted'));
  }

  async run(...args: string[]): Promise<Outcome> {
    this.#stop = new AbortController();
    const out: Buffer[] = [];
    let err = '';
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
      clock: { nowSeconds: () => this.nowSeconds, monotonicMs: () => performance.now() },
      signal: this.#stop.signal,
      version: '0.1.0',
      hostname: 'node1',
      storageConfigPath: this.storageConfigPath,
      startMount: (options) => this.startMount(options),
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
