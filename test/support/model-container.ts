/**
 * A node with containers: a daemon, a repository, and what vzdump and `pct restore` do of it, each in a process of its own under perl -T with
 * the real provider (model-vzdump-lxc.pl, model-pct-restore.pl).
 *
 * A container is a directory. That of an unprivileged one belongs to the ids of the host that its id map tells: container id 0 is `idMap[0]`.
 * What a mount shows are the container's own ids. Needs root.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { chmodSync, chownSync, mkdirSync, mkdtempSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { storageAt, TestDaemon, type DaemonOptions } from './daemon.js';
import { perlModules } from './model-vzdump.js';
import { startProgram, until, type Program } from './processes.js';
import { projectRoot } from './project.js';
import { mountPointsBelow, unmountAllBelow, type Cleanups } from './temp.js';
import { runVzvault, type Ran } from './vzvault.js';

/** First id of the host, and how many. */
export type IdMap = readonly [number, number];
export const unprivileged: IdMap = [100_000, 65_536];

export const defaultConfig = 'arch: amd64\nunprivileged: 1\n';

export const restoreMechanisms = ['tar', 'directory'] as const;
export type RestoreMechanism = (typeof restoreMechanisms)[number];

export interface ContainerBackupOptions {
  readonly vmid?: number;
  /** Null for a privileged container; `unprivileged` where it is not given. */
  readonly idMap?: IdMap | null;
  /** Mount points, as vzdump tells them: `./` where none are given. */
  readonly sources?: readonly string[];
  /** Each character is a byte. */
  readonly excludes?: readonly string[];
  readonly config?: string;
  readonly firewall?: string;
  readonly bandwidthLimitBytesPerSecond?: number;
}

export interface ContainerBackup {
  /** Null where the job succeeded. */
  readonly error: string | null;
  readonly volume: string;
  /** As PVE is told. */
  readonly addedBytes: number;
  /** The task log: `level: line`. */
  readonly log: readonly string[];
}

export interface RestoredContainer {
  /** With the ids of the host. */
  readonly root: string;
  readonly config: string | null;
  readonly firewall: string | null;
}

interface PctRestoreResult {
  readonly error: string | null;
  readonly mechanism: string;
  /** Base64. */
  readonly config: string | null;
  readonly firewall: string | null;
}

function decode(base64: string | null): string | null {
  return base64 === null ? null : Buffer.from(base64, 'base64').toString();
}

/** Of `vzvault show --json`. */
export interface ArchiveFigures {
  readonly archives: readonly {
    readonly members: number;
    readonly data: { readonly sizeBytes: number };
    readonly catalogue: { readonly sizeBytes: number };
  }[];
  readonly stats: {
    readonly readBytes: number;
    readonly zeroBytes: number;
    readonly reusedBytes: number;
    readonly newBytes: number;
    readonly addedBytes: number;
  };
}

/** Plain bytes of the chunks that a mount decoded. */
export interface MountCounters {
  readonly dataBytes: number;
  readonly mapBytes: number;
  readonly catalogueBytes: number;
}

interface Outcome<Done> {
  readonly done: Done;
  readonly log: readonly string[];
}

let startTimeSeconds = 1_796_000_000;

export class ContainerNode {
  private constructor(
    readonly cleanups: Cleanups,
    readonly directory: string,
    /** The storage's path. */
    readonly store: string,
    readonly daemon: TestDaemon,
  ) {}

  /** In a directory that everybody may pass through, since the container's root has to. */
  static async start(
    cleanups: Cleanups,
    directory = cleanups.directory(),
    env: DaemonOptions['env'] = {},
  ): Promise<ContainerNode> {
    chmodSync(directory, 0o711);
    const daemonDirectory = join(directory, 'daemon');
    const store = join(directory, 'store');
    mkdirSync(daemonDirectory, { mode: 0o700 });
    mkdirSync(store, { mode: 0o700 });
    const daemon = await TestDaemon.start(cleanups, { directory: daemonDirectory, env });
    const client = await daemon.connect();
    await client.call('storage.create', { storage: storageAt(store) });
    client.close();
    return new ContainerNode(cleanups, directory, store, daemon);
  }

  /** An empty directory that belongs to a container's root. */
  newRoot(idMap: IdMap | null = unprivileged): string {
    const root = mkdtempSync(join(this.directory, 'root-'));
    chmodSync(root, 0o755);
    chownSync(root, idMap?.[0] ?? 0, idMap?.[0] ?? 0);
    return root;
  }

  /** Whatever comes of it. */
  async tryBackUp(root: string, options: ContainerBackupOptions = {}): Promise<ContainerBackup> {
    startTimeSeconds += 1;
    const { vmid = 101, idMap = unprivileged, sources = ['./'], excludes = [], firewall = '' } = options;
    const directory = mkdtempSync(join(this.directory, 'vzdump-'));
    const { done, log } = await this.#runStandIn<{ error: string | null; volume: string; added: number }>(
      'model-vzdump-lxc.pl',
      {
        ...{ vmid, idMap, sources, excludes, firewall, root, directory },
        startTime: startTimeSeconds,
        config: options.config ?? defaultConfig,
        bwlimit: options.bandwidthLimitBytesPerSecond ?? 0,
      },
    );
    return { error: done.error, volume: done.volume, addedBytes: done.added, log };
  }

  /** One that succeeds. */
  async backUp(root: string, options: ContainerBackupOptions = {}): Promise<ContainerBackup> {
    const backup = await this.tryBackUp(root, options);
    assert.equal(backup.error, null, backup.log.join('\n'));
    return backup;
  }

  /** Nothing is left mounted. */
  async restore(volume: string, mechanism: RestoreMechanism): Promise<RestoredContainer> {
    const target = this.newRoot();
    const { done, log } = await this.#runStandIn<PctRestoreResult>('model-pct-restore.pl', {
      ...{ volume, mechanism, target, idMap: unprivileged },
    });
    assert.equal(done.error, null, log.join('\n'));
    assert.equal(done.mechanism, mechanism);
    assert.deepEqual(mountPointsBelow(this.daemon.runDirectory), []);
    return { root: target, config: decode(done.config), firewall: decode(done.firewall) };
  }

  /** The command line, with a cache of its own. */
  run(...args: readonly string[]): Promise<Ran> {
    return runVzvault(this.#environment, args);
  }

  /** What has to succeed. */
  async must(...args: readonly string[]): Promise<Ran> {
    const ran = await this.run(...args);
    if (ran.code !== 0) throw new Error(`vzvault ${args.join(' ')} ended with ${ran.code}: ${ran.err}`);
    return ran;
  }

  async json<T>(...args: readonly string[]): Promise<T> {
    return JSON.parse((await this.must(...args, '--json')).out) as T;
  }

  /** Starts it and goes on. */
  startCommand(...args: readonly string[]): Program {
    return startProgram(this.cleanups, join(projectRoot, 'build/bin/vzvault'), args, { env: this.#environment });
  }

  async figures(volume: string): Promise<ArchiveFigures> {
    return await this.json('show', this.store, volume);
  }

  /** A mount by the command line, gone when the test is: the directory with `root` and `root.tar`. */
  async mount(volume: string): Promise<string> {
    const point = mkdtempSync(join(this.directory, 'mnt-'));
    this.cleanups.add(() => {
      unmountAllBelow(this.directory);
    });
    await this.must('mount', this.store, volume, point);
    return point;
  }

  /** What a mount by the command line decodes for `work`, which gets the directory with `root` and `root.tar`. */
  async countMount(volume: string, work: (point: string) => void | Promise<void>): Promise<MountCounters> {
    const point = mkdtempSync(join(this.directory, 'mnt-'));
    const program = this.startCommand('mount', this.store, volume, point, '--foreground');
    await until('it is mounted', () => {
      if (program.child.exitCode !== null) throw new Error(program.output());
      return program.output().includes('mounted on');
    });
    await work(point);
    await program.stop('SIGINT');
    const counter = (name: string): number => {
      const found = [...program.output().matchAll(new RegExp(`\\b${name}=(\\d+)`, 'g'))].at(-1)?.[1];
      if (found === undefined) throw new Error(`no ${name} in ${program.output()}`);
      return Number(found);
    };
    return {
      dataBytes: counter('data_bytes_decoded'),
      mapBytes: counter('map_bytes_decoded'),
      catalogueBytes: counter('catalogue_bytes_decoded'),
    };
  }

  /** What all files of the repository hold. */
  repositoryBytes(): number {
    const entries = readdirSync(this.store, { recursive: true, withFileTypes: true });
    const files = entries.filter((entry) => entry.isFile());
    return files.reduce((sum, { parentPath, name }) => sum + statSync(join(parentPath, name)).size, 0);
  }

  get #environment(): Record<string, string> {
    return { VZVAULT_CACHE_DIR: join(this.directory, 'cli-cache'), VZVAULT_SOCKET: join(this.directory, 'no-daemon') };
  }

  async #runStandIn<Done>(script: string, task: object): Promise<Outcome<Done>> {
    const file = join(projectRoot, 'test/support', script);
    const child = spawn('perl', ['-T', ...perlModules, file], {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { ...process.env, ...this.daemon.environment },
    });
    const log: string[] = [];
    child.stderr.on('data', (text: Buffer) => log.push(`stderr: ${text.toString().trimEnd()}`));
    child.stdin.end(`${JSON.stringify({ storeid: 'store', path: this.store, ...task })}\n`);
    const closed = new Promise((resolve) => child.once('close', resolve));
    let done: Done | null = null;
    for await (const line of createInterface({ input: child.stdout })) {
      const message = JSON.parse(line) as { log?: string[]; done?: Done };
      if (message.log !== undefined) log.push(message.log.join(': '));
      done = message.done ?? done;
    }
    await closed;
    if (done === null) throw new Error(`${script} ended without a result:\n${log.join('\n')}`);
    return { done, log };
  }
}
