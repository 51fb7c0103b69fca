/**
 * One backup of a model VM by the stand-in for vzdump: starts the real provider under perl -T, plays QEMU to it, and keeps what it said.
 *
 * The process can be stopped or killed at any moment; whatever it left open of QEMU's is torn down as a failure when it has ended, as an
 * administrator would.
 */
import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { spawn, type ChildProcess } from 'node:child_process';
import { projectRoot } from './project.js';
import { BackupAccess, type AccessDevice, type RequestedMode } from './model-access.js';
import { run } from './model-run.js';
import type { ModelVm } from './model-vm.js';

export const mechanisms = ['nbd', 'file-handle'] as const;
export type Mechanism = (typeof mechanisms)[number];

/** The plugin, what stands in for Proxmox VE's own modules, and what the stand-ins for its tools share. */
export const perlModules: readonly string[] = ['perl', 'test/perl/stubs', 'test/support'].map(
  (name) => `-I${join(projectRoot, name)}`,
);

export type Fault =
  | 'fail-after-commit'
  | 'fail-after-success'
  | 'fail-after-cleanup'
  | 'vanish-after-commit'
  | 'nbdinfo-killed'
  | 'regions-cut'
  | 'nbdfuse-killed'
  | 'no-count'
  | 'stop-at-query'
  | 'stop-at-vm'
  | 'stop-at-committed';

export interface VzdumpOptions {
  readonly storeid: string;
  /** Of the storage. */
  readonly path: string;
  readonly mechanism: Mechanism;
  /** Where the daemon is found. */
  readonly env: Readonly<Record<string, string>>;
  readonly startTimeSeconds: number;
  readonly fault?: Fault;
  readonly bandwidthLimitBytesPerSecond?: number;
  readonly fleecingDirectory?: string;
  /** At the point in time, before anything is read: what the guest has now is what the snapshot has to hold. */
  readonly onOpen?: (access: BackupAccess) => void | Promise<void>;
  /** The process stopped at the point that the fault names; it goes on when this settles. */
  readonly onReached?: (running: RunningVzdump) => void | Promise<void>;
}

export interface VzdumpResult {
  /** False where the process was killed, or left without a word to the provider: the daemon finds out by itself. */
  readonly hasCleanedUp: boolean;
  /** Null where the job succeeded. */
  readonly error: string | null;
  /** Null where no backup was begun. */
  readonly volume: string | null;
  readonly addedBytes: number;
  /** The task log: `level: line`. */
  readonly log: readonly string[];
  /** What the provider wanted of each bitmap; null where it did not come to that. */
  readonly modes: Readonly<Record<string, RequestedMode>> | null;
  readonly devices: readonly AccessDevice[];
  /** Whether it was QEMU's last word that the backup succeeded: the bitmaps were cleared. */
  readonly succeeded: boolean;
}

type Question =
  | { readonly ask: 'open'; readonly modes: Readonly<Record<string, RequestedMode>> }
  | { readonly ask: 'close'; readonly success: number }
  | { readonly ask: 'reached'; readonly what: string };

interface Done {
  readonly error: string | null;
  readonly volume: string | null;
  readonly added: number;
}

export class RunningVzdump {
  readonly log: string[] = [];
  /** Resolves when the process has ended and all it left open is closed. Never rejects for what the backup met. */
  readonly ended: Promise<VzdumpResult>;
  readonly #child: ChildProcess;
  readonly #directory: string;
  /** The point in time is past, and the disks can be read. */
  isServing = false;
  #access: BackupAccess | null = null;
  #modes: Readonly<Record<string, RequestedMode>> | null = null;
  #devices: readonly AccessDevice[] = [];
  #succeeded = false;
  #done: Done | null = null;
  #failure: Error | null = null;

  constructor(
    private readonly vm: ModelVm,
    private readonly options: VzdumpOptions,
  ) {
    this.#directory = join(vm.directory, vm.fresh('vzdump'));
    mkdirSync(this.#directory);
    const script = join(projectRoot, 'test/support/model-vzdump.pl');
    // A process group of its own, so that what it started can be ended after it.
    this.#child = spawn('perl', ['-T', ...perlModules, script], {
      ...{ stdio: ['pipe', 'pipe', 'pipe'], detached: true, env: { ...process.env, ...options.env } },
    });
    this.#child.stdin?.on('error', () => undefined);
    this.#child.stderr?.on('data', (text: Buffer) => this.log.push(`stderr: ${text.toString().trimEnd()}`));
    this.#say(this.#task());
    this.ended = this.#run();
  }

  get pid(): number {
    return this.#child.pid ?? -1;
  }

  /** The access, once it is open. */
  get access(): BackupAccess | null {
    return this.#access;
  }

  kill(signal: 'SIGTERM' | 'SIGKILL'): void {
    this.#child.kill(signal);
  }

  #task(): object {
    const { vm, options } = this;
    return {
      ...{ storeid: options.storeid, path: options.path, mechanism: options.mechanism, vmid: vm.vmid },
      ...{
        startTime: options.startTimeSeconds,
        qemuPid: vm.pid,
        directory: this.#directory,
        fault: options.fault ?? '',
      },
      ...{ config: `name: model\nmemory: 128\n`, firewall: '[OPTIONS]\nenable: 1\n' },
      bwlimit: options.bandwidthLimitBytesPerSecond ?? 0,
      devices: Object.fromEntries(vm.disks.map(({ device, sizeBytes }) => [device, sizeBytes])),
    };
  }

  async #run(): Promise<VzdumpResult> {
    const exited = new Promise<void>((resolve) => this.#child.once('close', resolve));
    const lines = createInterface({ input: this.#child.stdout! });
    for await (const line of lines) await this.#hear(JSON.parse(line) as object);
    await exited;
    await this.#cleanUp();
    // A failure of the model itself is one of the test.
    if (this.#failure !== null) throw this.#failure;
    const { error, volume, added } = this.#done ?? { error: 'the process is gone', volume: null, added: 0 };
    return {
      hasCleanedUp: this.#done !== null,
      ...{ error, volume, addedBytes: added, log: this.log, modes: this.#modes },
      ...{ devices: this.#devices, succeeded: this.#succeeded },
    };
  }

  async #hear(message: object): Promise<void> {
    if ('log' in message) this.log.push((message.log as string[]).join(': '));
    else if ('done' in message) this.#done = message.done as Done;
    else {
      try {
        this.#say(await this.#answer(message as Question));
      } catch (error) {
        this.#failure ??= error instanceof Error ? error : new Error(String(error));
        this.kill('SIGKILL');
      }
    }
  }

  async #answer(question: Question): Promise<object> {
    switch (question.ask) {
      case 'open':
        return await this.#open(question.modes);
      case 'close':
        this.#succeeded = question.success === 1;
        await this.#close(this.#succeeded);
        return {};
      case 'reached':
        await this.options.onReached?.(this);
        return {};
    }
  }

  async #open(modes: Readonly<Record<string, RequestedMode>>): Promise<object> {
    this.#modes = modes;
    const { storeid, fleecingDirectory = this.vm.directory } = this.options;
    this.#access = await BackupAccess.open(this.vm, { storeid, modes, fleecingDirectory });
    this.#devices = this.#access.devices;
    await this.options.onOpen?.(this.#access);
    await this.#access.serve();
    this.isServing = true;
    const devices = this.#devices.map(({ device, sizeBytes, action, dirtyBytes, bitmapName }) => {
      return { device, size: sizeBytes, action, dirty: dirtyBytes, bitmapName };
    });
    return { nbdPath: this.#access.nbdPath, devices };
  }

  async #close(success: boolean): Promise<void> {
    const access = this.#access;
    this.#access = null;
    this.isServing = false;
    await access?.close(success);
  }

  #say(message: object): void {
    this.#child.stdin?.write(`${JSON.stringify(message)}\n`);
  }

  /** What a process that was killed could not. */
  async #cleanUp(): Promise<void> {
    // First the readers that it left behind.
    this.#killGroup();
    await this.#close(false);
    if (!existsSync(this.#directory)) return;
    for (const name of readdirSync(this.#directory)) {
      if (name.endsWith('.mount')) await run('umount', '-l', join(this.#directory, name)).catch(() => '');
    }
    await run('rm', '-rf', this.#directory);
  }

  #killGroup(): void {
    try {
      process.kill(-this.pid, 'SIGKILL');
    } catch {
      // The group is empty.
    }
  }
}
