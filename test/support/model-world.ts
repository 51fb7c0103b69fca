/**
 * A node of a test: a daemon, repositories, a VM with its history, and backups of it through the real provider.
 *
 * Every backup that leaves a snapshot is held against the VM as it was at its point in time, whatever else the backup said of itself: what is
 * listed has to be whole.
 */
import assert from 'node:assert/strict';
import { closeSync, mkdirSync, mkdtempSync, openSync, readdirSync, rmSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { hasCode } from '../../src/lib/errors.js';
import { formatVolumeName } from '../../src/lib/volume-name.js';
import { storageAt, TestDaemon } from './daemon.js';
import type { BackupAccess } from './model-access.js';
import { BackupHistory, momentOf, type Moment } from './model-history.js';
import { DirectReader, MountReader, Vzvault, type SnapshotFigures } from './model-readers.js';
import { ModelVm, type DiskOptions } from './model-vm.js';
import { perlModules, RunningVzdump, type Mechanism, type VzdumpOptions, type VzdumpResult } from './model-vzdump.js';
import { run } from './model-run.js';
import { until } from './processes.js';
import { projectRoot } from './project.js';
import type { Cleanups } from './temp.js';

const MIB = 1024 * 1024;

export interface WorldOptions {
  readonly mechanism: Mechanism;
  /** Two disks of a few granules where none are named. */
  readonly disks?: readonly DiskOptions[];
  readonly daemonEnv?: Readonly<Record<string, string>>;
  /** 100 where it is not given. */
  readonly vmid?: number;
}

/** A storage id and where it leads. */
export interface ModelStorage {
  readonly id: string;
  readonly path: string;
}

export interface BackupOptions extends Partial<
  Pick<VzdumpOptions, 'fault' | 'bandwidthLimitBytesPerSecond' | 'fleecingDirectory' | 'onReached'>
> {
  readonly storage?: ModelStorage;
  readonly mechanism?: Mechanism;
  /** Right after the point in time; what the guest writes here is not in the snapshot. */
  readonly atOnce?: (access: BackupAccess) => void | Promise<void>;
  /** Beside the backup: it may write to the VM, and kill what runs. */
  readonly during?: (running: RunningVzdump) => Promise<void>;
}

export interface Backup extends VzdumpResult {
  readonly volume: string;
  /** Whether there is a snapshot of it. */
  readonly isListed: boolean;
  /** Null where it is not listed. */
  readonly figures: SnapshotFigures | null;
}

export const defaultDisks: readonly DiskOptions[] = [
  { device: 'drive-scsi0', sizeBytes: 40 * MIB, format: 'raw' },
  { device: 'drive-scsi1', sizeBytes: 18 * MIB + 512, format: 'qcow2' },
];

let startTimeSeconds = 1_800_000_000;

export class World {
  readonly history = new BackupHistory();
  readonly vzvault: Vzvault;
  readonly direct: DirectReader;
  readonly storage: ModelStorage;
  vm: ModelVm;
  #vms = 0;

  private constructor(
    readonly cleanups: Cleanups,
    readonly directory: string,
    private readonly options: WorldOptions,
    public daemon: TestDaemon,
  ) {
    this.storage = { id: 'store', path: join(directory, 'store') };
    this.vzvault = new Vzvault(directory, { VZVAULT_CACHE_DIR: join(directory, 'cli-cache') });
    process.env['VZVAULT_CACHE_DIR'] = join(directory, 'direct-cache');
    this.direct = new DirectReader(directory, cleanups);
    this.vm = this.#newVm();
  }

  /** Everything runs when this settles. */
  static async start(cleanups: Cleanups, options: WorldOptions): Promise<World> {
    const directory = cleanups.directory();
    const daemon = await TestDaemon.start(cleanups, { directory, env: options.daemonEnv ?? {} });
    const world = new World(cleanups, directory, options, daemon);
    await world.addStorage(world.storage);
    await world.startVm(options.disks ?? defaultDisks);
    return world;
  }

  /** Makes a repository. */
  async addStorage(storage: ModelStorage): Promise<void> {
    mkdirSync(storage.path, { recursive: true });
    const client = await this.daemon.connect();
    await client.call('storage.create', { storage: storageAt(storage.path, storage.id) });
    client.close();
  }

  /** Another VM under the same id, with other disks. The one before must be stopped. */
  async recreateVm(disks: readonly DiskOptions[]): Promise<void> {
    this.vm = this.#newVm();
    await this.startVm(disks);
  }

  async startVm(disks: readonly DiskOptions[]): Promise<void> {
    for (const disk of disks) await this.vm.addDisk(disk);
    await this.vm.start();
  }

  /** Harmless where it is gone already. */
  async killDaemon(): Promise<void> {
    await this.daemon.stop('SIGKILL');
  }

  /** Another daemon takes over from one that ended or is killed now. */
  async restartDaemon(env: Readonly<Record<string, string>> = this.options.daemonEnv ?? {}): Promise<void> {
    await this.killDaemon();
    this.daemon = await TestDaemon.start(this.cleanups, { directory: this.directory, env });
  }

  /** Begins a backup; `finish` waits for its end and looks at what came of it. */
  begin(options: BackupOptions = {}): { readonly running: RunningVzdump; finish(): Promise<Backup> } {
    startTimeSeconds += 1;
    const { storage = this.storage, mechanism = this.options.mechanism, atOnce, during: _during, ...rest } = options;
    const volume = formatVolumeName({ guestType: 'qemu', vmid: this.vm.vmid, timeSeconds: startTimeSeconds });
    let moment: Moment | null = null;
    const running = new RunningVzdump(this.vm, {
      ...{ storeid: storage.id, path: storage.path, mechanism, env: this.daemon.environment, startTimeSeconds },
      ...rest,
      onOpen: async (access) => {
        moment = momentOf(this.vm);
        await atOnce?.(access);
      },
    });
    // Whoever works beside the backup comes to its end later: until then its failure is nobody's.
    running.ended.catch(() => undefined);
    const finish = async (): Promise<Backup> => {
      const result = await running.ended;
      // The commit may still be under way.
      if (!result.hasCleanedUp) await this.#untilIdle(storage);
      const isListed = (await this.direct.volumes(storage.path)).includes(volume);
      if (isListed) {
        if (moment === null) throw new Error(`${volume} is listed although nothing was read`);
        this.history.remember(storage.path, volume, moment);
      }
      const figures = isListed ? await this.direct.figures(storage.path, volume) : null;
      return { ...result, volume, isListed, figures };
    };
    return { running, finish };
  }

  /** A backup that may fail. */
  async tryBackup(options: BackupOptions = {}): Promise<Backup> {
    const { running, finish } = this.begin(options);
    await options.during?.(running);
    return await finish();
  }

  /** One that succeeds; its snapshot is compared with the VM as it was. */
  async backup(options: BackupOptions = {}): Promise<Backup & { readonly figures: SnapshotFigures }> {
    const backup = await this.tryBackup(options);
    assert.equal(backup.error, null, backup.log.join('\n'));
    const { figures } = backup;
    assert.ok(figures !== null, `${backup.volume} is listed`);
    await this.compare(backup, options.storage);
    return { ...backup, figures };
  }

  /** The snapshot of a backup is the VM as it was; where it is not, the error has the backup's log too. */
  async compare({ volume, log }: Backup, { path }: ModelStorage = this.storage): Promise<void> {
    await this.history.compare(this.direct, path, volume).catch((error: unknown) => {
      throw new Error(`${String(error)}\n${log.join('\n')}`, { cause: error });
    });
  }

  /** One that fails and leaves nothing. Answers its error. */
  async failedBackup(options: BackupOptions = {}): Promise<string> {
    const { error, isListed, log, volume } = await this.tryBackup(options);
    assert.ok(error !== null, `the backup succeeded:\n${log.join('\n')}`);
    assert.ok(!isListed, `${volume} is not listed`);
    return error;
  }

  /** A restore by the real provider; what it brought is compared with the VM as it was. Rejects with what the process printed. */
  async restore(volume: string): Promise<void> {
    const { id, path } = this.storage;
    const target = mkdtempSync(join(this.directory, 'qmrestore-'));
    const script = join(projectRoot, 'test/support/model-qmrestore.pl');
    const variables = Object.entries(this.daemon.environment).map(([name, value]) => `${name}=${value}`);
    await run('env', ...variables, 'perl', '-T', ...perlModules, script, id, path, volume, target).catch(
      (error: unknown) => {
        throw new Error((error as { stdout?: string }).stdout ?? String(error), { cause: error });
      },
    );
    for (const [device, image] of this.history.of(path).get(volume) ?? []) {
      assert.equal(await image.differenceTo(join(target, `${device}.raw`)), null);
    }
    rmSync(target, { recursive: true });
  }

  async forget(volume: string, { path }: ModelStorage = this.storage): Promise<void> {
    await this.direct.forget(path, volume);
    this.history.forget(path, volume);
  }

  /** Everything that is there is what it should be, as the command line reads it. */
  async verify(storage: ModelStorage = this.storage): Promise<void> {
    await MountReader.with(this.vzvault, storage.path, (reader) => this.history.compareAll(reader, storage.path));
  }

  /** Bytes in the newest pack file that holds data change. */
  damageNewestPack(): void {
    const packs = join(this.storage.path, 'vzvault/packs');
    const files = readdirSync(packs, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name))
      // Maps are in packs of their own, which are small.
      .filter((path) => statSync(path).size > MIB)
      .sort((a, b) => statSync(a).mtimeMs - statSync(b).mtimeMs);
    const file = openSync(files.at(-1)!, 'r+');
    writeSync(file, Buffer.alloc(64, 0x5a), 0, 64, MIB / 2);
    closeSync(file);
  }

  /** The daemon has noticed that a process is gone: the guest can be backed up again. */
  async #untilIdle({ id, path }: ModelStorage): Promise<void> {
    const client = await this.daemon.connect();
    startTimeSeconds += 1;
    const { jobId } = await client.call('job.begin', { storage: storageAt(path, id), startTimeSeconds });
    await until('the guest is free', async () => {
      try {
        await client.call('backup.begin', { jobId, guestType: 'qemu', vmid: this.vm.vmid, startTimeSeconds });
        return true;
      } catch (error) {
        if (hasCode(error, 'E_GUEST_BUSY')) return false;
        throw error;
      }
    });
    await client.call('job.end', { jobId });
    client.close();
  }

  #newVm(): ModelVm {
    this.#vms += 1;
    return new ModelVm(this.cleanups, this.options.vmid ?? 100, join(this.directory, `vm-${this.#vms}`));
  }
}
