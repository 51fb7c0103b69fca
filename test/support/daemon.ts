/** vzvaultd as a process of its own, in directories of its own, and the calls that Proxmox VE makes of it. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { DaemonClient } from '../../src/rpc/client.js';
import type { Params, Result, Storage } from '../../src/rpc/contract.js';
import { startProgram, untilAccepting, type Program } from './processes.js';
import { projectRoot } from './project.js';
import { unmountAllBelow, type Cleanups } from './temp.js';

export interface DaemonOptions {
  /** Holds run, cache and socket; another daemon started in it takes over from one that ended. */
  readonly directory: string;
  readonly env?: Readonly<Record<string, string>>;
}

export class TestDaemon {
  readonly #clients = new Set<DaemonClient>();

  private constructor(
    readonly program: Program,
    readonly socketPath: string,
    readonly runDirectory: string,
    readonly environment: Readonly<Record<string, string>>,
  ) {}

  static async start(cleanups: Cleanups, options: DaemonOptions): Promise<TestDaemon> {
    const runDirectory = join(options.directory, 'run');
    const socketPath = join(runDirectory, 'vzvaultd.sock');
    mkdirSync(runDirectory, { recursive: true });
    const environment = {
      VZVAULT_RUN_DIR: runDirectory,
      VZVAULT_SOCKET: socketPath,
      VZVAULT_CACHE_DIR: join(options.directory, 'cache'),
      ...options.env,
    };
    // Restores outlive their daemon; what a test broke off is taken down after it.
    cleanups.add(() => {
      unmountAllBelow(runDirectory);
    });
    const program = startProgram(cleanups, join(projectRoot, 'build/bin/vzvaultd'), [], { env: environment });
    await untilAccepting(program, socketPath);
    return new TestDaemon(program, socketPath, runDirectory, environment);
  }

  /** A connection; `lines` collects the task log. Closed by `stop`. */
  async connect(lines: string[] = []): Promise<DaemonClient> {
    const client = await DaemonClient.connect({
      socketPath: this.socketPath,
      client: 'test/0',
      onLog: (level, message) => lines.push(`${level}: ${message}`),
    });
    this.#clients.add(client);
    return client;
  }

  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | NodeJS.Signals> {
    for (const client of this.#clients) client.close();
    return await this.program.stop(signal);
  }
}

export type Disk = Params<'backup.vm'>['disks'][number];

/** A storage section of a directory. */
export function storageAt(path: string, id = 'store'): Storage {
  return { id, path, isMountpoint: '' };
}

/** A storage with a new repository, in a directory that is made for it. */
export async function createStorage(client: DaemonClient, path: string, id?: string): Promise<Storage> {
  const storage = storageAt(path, id);
  mkdirSync(path, { recursive: true });
  await client.call('storage.create', { storage });
  return storage;
}

export function diskAt(nbdPath: string, sizeBytes: number, device = 'drive-scsi0'): Disk {
  return { device, sizeBytes, bitmapMode: 'none', dirtyBytes: null, nbdPath, bitmapName: null };
}

export interface GuestBackup {
  readonly storage: Storage;
  readonly disks: readonly Disk[];
  readonly vmid?: number;
  readonly config?: string;
  readonly firewall?: string | null;
  readonly startTimeSeconds?: number;
  readonly bandwidthLimitBytesPerSecond?: number;
}

export interface RunningBackup {
  readonly jobId: string;
  readonly backupId: string;
  readonly volume: string;
}

let lastSeconds = 1_795_000_000;

/** What Proxmox VE calls before backup_vm. Every backup gets a second of its own. */
export async function beginGuestBackup(client: DaemonClient, backup: GuestBackup): Promise<RunningBackup> {
  lastSeconds += 1;
  const startTimeSeconds = backup.startTimeSeconds ?? lastSeconds;
  const { jobId } = await client.call('job.begin', { storage: backup.storage, startTimeSeconds });
  const guest = { guestType: 'qemu', vmid: backup.vmid ?? 100, startTimeSeconds } as const;
  const { backupId, volume } = await client.call('backup.begin', { jobId, ...guest });
  await client.call('backup.mechanism', { backupId });
  const sizes = backup.disks.map(({ device, sizeBytes }) => [device, { sizeBytes }] as const);
  await client.call('backup.queryIncremental', { backupId, qemuPid: null, disks: Object.fromEntries(sizes) });
  return { jobId, backupId, volume };
}

export function backupVm(client: DaemonClient, backupId: string, backup: GuestBackup): Promise<Result<'backup.vm'>> {
  const encode = (text: string): string => Buffer.from(text, 'latin1').toString('base64');
  return client.call('backup.vm', {
    backupId,
    configBase64: encode(backup.config ?? 'memory: 512\n'),
    firewallBase64: typeof backup.firewall === 'string' ? encode(backup.firewall) : null,
    bandwidthLimitBytesPerSecond: backup.bandwidthLimitBytesPerSecond ?? 0,
    disks: [...backup.disks],
  });
}

/** What Proxmox VE calls after it, whatever came of it. */
export async function endGuestBackup(
  client: DaemonClient,
  running: RunningBackup,
  error: string | null,
): Promise<void> {
  await client.call('backup.end', { backupId: running.backupId, success: error === null, error });
  await client.call('job.end', { jobId: running.jobId });
}

/** A whole backup of one guest; rejects as backup.vm does, after the ends were called. */
export async function backUpGuest(
  client: DaemonClient,
  backup: GuestBackup,
): Promise<Result<'backup.vm'> & { volume: string }> {
  const running = await beginGuestBackup(client, backup);
  try {
    const result = await backupVm(client, running.backupId, backup);
    await endGuestBackup(client, running, null);
    return { ...result, volume: running.volume };
  } catch (error) {
    await endGuestBackup(client, running, String(error));
    throw error;
  }
}

/** The volumes of a storage. */
export async function volumesOf(client: DaemonClient, storage: Storage): Promise<string[]> {
  const { backups } = await client.call('storage.list', { storage });
  return backups.map(({ volume }) => volume);
}
