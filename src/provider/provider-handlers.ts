/**
 * The handlers of `job.*`, `backup.*` and `restore.*` (docs/protocol.md, "Backup", "Restore"), and the life of their sessions.
 *
 * Sessions live here, keyed by id, until they are ended: by a call, because their owner is gone (`sweep`), or because the daemon stops
 * (`stop`, which leaves restores to the next daemon). Ending is always possible and never fails; beginning can fail and then leaves
 * nothing behind.
 */
import type { Clock } from '../lib/clock.js';
import { crashPoint } from '../lib/crash-points.js';
import { abortReason, withDeadline } from '../lib/deadline.js';
import { VzvaultError } from '../lib/errors.js';
import { formatSnapshotId, type SnapshotId } from '../lib/guest.js';
import { randomId } from '../lib/ids.js';
import { sessionLimits } from '../lib/limits.js';
import type { Logger } from '../lib/logger.js';
import type { ProcessTable } from '../lib/process-identity.js';
import { formatVolumeName } from '../lib/volume-name.js';
import type { BackupResult } from '../repository/backup-session.js';
import type { RepositoryEngine } from '../repository/repository.js';
import type { Sharing } from '../repository/sessions/sharing.js';
import type { BitmapRecords } from './bitmap-records.js';
import { BusyGuests } from './busy-guests.js';
import type {
  Call,
  ContainerCall,
  ContainerMechanism,
  ContainerRestore,
  GuestBackupRequest,
  GuestCall,
  StorageSection,
  VmBackupRequest,
  VmCall,
  VmMechanism,
} from './call.js';
import { ROOT_ARCHIVE } from './container-backup.js';
import { GuestBackupSession } from './guest-backup-session.js';
import { GuestBitmaps } from './guest-bitmaps.js';
import { JobSession } from './job-session.js';
import { closeRepository, openStorage } from './open-repository.js';
import { beginRestore, type BegunRestore } from './restore-beginning.js';
import { RestoreReader } from './restore-reader.js';
import type { RestoreMounter, RestoreSession } from './restore-session.js';
import { ownerOf, SessionTable } from './session-table.js';

export interface ProviderOptions {
  readonly engine: RepositoryEngine;
  readonly mounter: RestoreMounter;
  readonly records: BitmapRecords;
  readonly processes: ProcessTable;
  readonly clock: Clock;
  /** The daemon's part in every repository that it writes to or reads from. */
  readonly sharing: Sharing;
  /** Told of every storage that a job writes to. */
  readonly onStorageUsed?: (storage: StorageSection) => void;
  readonly logger: Logger;
  readonly createdBy: { readonly version: string; readonly hostname: string };
  readonly stallTimeoutMs: number;
}

type Nothing = Record<string, never>;

/** What a backup came to, in bytes. */
interface Stored {
  readonly addedBytes: number;
  readonly readBytes: number;
  readonly sizeBytes: number;
}

export class ProviderHandlers {
  readonly #jobs = new SessionTable<JobSession>('job');
  readonly #backups = new SessionTable<GuestBackupSession>('backup');
  readonly #restores = new SessionTable<RestoreSession>('restore');
  readonly #busyGuests = new BusyGuests();
  #adoption: Promise<void> = Promise.resolve();

  constructor(private readonly options: ProviderOptions) {}

  get sessionCounts(): { jobs: number; backups: number; restores: number } {
    return { jobs: this.#jobs.size, backups: this.#backups.size, restores: this.#restores.size };
  }

  async jobBegin({ storage }: { storage: StorageSection }, call: Call): Promise<{ jobId: string }> {
    const { engine, logger, processes } = this.options;
    const owner = ownerOf(call.peer.pid, processes);
    const repository = await openStorage(engine, storage, logger);
    try {
      const doing = `writing to the storage ${storage.id} (${storage.path})`;
      await withDeadline(repository.requireWritable(), sessionLimits.openMs, 'E_STORAGE_TIMEOUT', doing);
      if (call.signal.aborted) throw abortReason(call.signal);
    } catch (error) {
      void closeRepository(repository, logger);
      throw error;
    }
    const job = new JobSession({ id: randomId(), owner, storage, repository, logger });
    this.#jobs.add(job);
    this.options.onStorageUsed?.(storage);
    crashPoint('job-begun');
    logger.info({ job: job.id, storage: storage.id, owner: owner.pid }, 'job begun');
    return { jobId: job.id };
  }

  async jobEnd({ jobId }: { jobId: string }): Promise<Nothing> {
    const job = this.#jobs.take(jobId);
    if (job !== undefined) await this.#endJob(job, 'job ended');
    return {};
  }

  async backupBegin(params: GuestCall & { jobId: string }): Promise<{ backupId: string; volume: string }> {
    const job = this.#jobs.get(params.jobId);
    job.requireOpened();
    // A vzdump that was killed would hold the guest until the next sweep.
    await this.sweep();
    const { repository } = job;
    const { guestType, vmid, startTimeSeconds: timeSeconds } = params;
    const snapshotId: SnapshotId = { guestType, vmid, timeSeconds };
    const releaseGuest = this.#busyGuests.claim(repository.config.repositoryId, snapshotId);
    try {
      const doing = `looking for a snapshot ${formatSnapshotId(snapshotId)}`;
      const isFree = repository.snapshots.isFree(snapshotId);
      if (!(await withDeadline(isFree, sessionLimits.openMs, 'E_STORAGE_TIMEOUT', doing))) {
        throw new VzvaultError('E_NAME_TAKEN', `there is a snapshot ${formatSnapshotId(snapshotId)} already`);
      }
      const { createdBy, stallTimeoutMs, records, processes, clock, sharing, logger } = this.options;
      const { owner, discards, storage } = job;
      const { vmMechanism = 'nbd' } = storage;
      const backup = new GuestBackupSession({
        ...{ id: randomId(), owner, snapshotId, repository, vmMechanism, discards, releaseGuest },
        bitmaps: new GuestBitmaps({ storage, snapshotId, repository, records, processes, sharing }),
        ...{ createdBy, stallTimeoutMs, clock, sharing, logger },
      });
      job.add(backup);
      this.#backups.add(backup);
      crashPoint('backup-begun');
      logger.info({ backup: backup.id, job: job.id, snapshot: formatSnapshotId(snapshotId) }, 'backup begun');
      return { backupId: backup.id, volume: formatVolumeName(snapshotId) };
    } catch (error) {
      releaseGuest();
      throw error;
    }
  }

  async backupMechanism({ backupId }: { backupId: string }): Promise<{ mechanism: VmMechanism | ContainerMechanism }> {
    return { mechanism: this.#backups.get(backupId).mechanism() };
  }

  async backupQueryIncremental(params: {
    backupId: string;
    qemuPid: number | null;
    disks: Record<string, { sizeBytes: number }>;
  }): Promise<{ modes: Record<string, 'new' | 'use'> }> {
    return { modes: await this.#backups.get(params.backupId).queryIncremental(params.qemuPid, params.disks) };
  }

  async backupVm(params: VmBackupRequest & { backupId: string }, call: VmCall): Promise<Stored> {
    return storedOf(await this.#backups.get(params.backupId).run(params, call));
  }

  async backupContainer(params: GuestBackupRequest & { backupId: string }, call: ContainerCall): Promise<Stored> {
    return storedOf(await this.#backups.get(params.backupId).runContainer(params, call));
  }

  /** The session stays known until its job ends, so that a repeated call hears the same, and for the log that comes last. */
  async backupEnd(params: {
    backupId: string;
    success: boolean;
    error: string | null;
  }): Promise<{ addedBytes: number }> {
    const backup = this.#backups.find(params.backupId);
    if (backup === undefined) return { addedBytes: 0 };
    const { success, error } = params;
    this.options.logger.info({ backup: backup.id, success, error, state: backup.state }, 'backup ended');
    return await backup.end(error ?? 'Proxmox VE ended it');
  }

  async backupKeepLog(params: { backupId: string; logBase64: string }): Promise<{ kept: boolean }> {
    return { kept: await this.#backups.get(params.backupId).keepLog(Buffer.from(params.logBase64, 'base64')) };
  }

  async restoreBegin(params: { storage: StorageSection; volume: string }, call: Call): Promise<BegunRestore> {
    const { logger, processes } = this.options;
    const owner = ownerOf(call.peer.pid, processes);
    const { session, begun } = await beginRestore(this.options, owner, params, call);
    this.#restores.add(session);
    logger.info({ restore: session.id, owner: owner.pid, volume: params.volume }, 'restore begun');
    crashPoint('restore-begun');
    return begun;
  }

  async restoreOpenDisk(params: { restoreId: string; device: string }): Promise<{ path: string }> {
    await this.#adoption;
    const path = await this.#restores.get(params.restoreId).openDisk(params.device);
    crashPoint('disk-opened');
    return { path };
  }

  /** The mount serves all disks until the end: there is nothing to close for one. */
  async restoreCloseDisk(_params: { restoreId: string; device: string }): Promise<Nothing> {
    return {};
  }

  /** The container's files as one tar file, or as a directory. */
  async restoreOpenArchive(params: { restoreId: string; mechanism: ContainerRestore }): Promise<{ path: string }> {
    await this.#adoption;
    const path = await this.#restores.get(params.restoreId).openArchive(ROOT_ARCHIVE, params.mechanism);
    crashPoint('disk-opened');
    return { path };
  }

  /** The task log learns what the mount met. */
  async restoreEnd({ restoreId }: { restoreId: string }, call: Pick<Call, 'log'>): Promise<Nothing> {
    await this.#adoption;
    const restore = this.#restores.take(restoreId);
    crashPoint('restore-ending');
    if (restore !== undefined) await this.#endRestore(restore, 'restore ended', call);
    crashPoint('restore-ended');
    return {};
  }

  /** Takes over restores that an earlier daemon began. Calls about restores wait until it is known which these are. */
  adoptRestores(adopting: Promise<readonly RestoreSession[]>): void {
    this.#adoption = adopting.then((restores) => {
      for (const restore of restores) {
        this.#restores.add(restore);
        this.#adoptReader(restore);
      }
    });
  }

  /**
   * Ends the sessions whose owner is gone, and logs what the mounts of the others met. To be called every `sessionLimits.sweepIntervalMs`.
   * Never fails.
   */
  async sweep(): Promise<void> {
    const { processes } = this.options;
    const jobs = this.#jobs.takeOrphans(processes).map((job) => this.#endJob(job, 'job ended, its owner is gone'));
    const restores = this.#restores
      .takeOrphans(processes)
      .map((restore) => this.#endRestore(restore, 'restore ended, its owner is gone'));
    const others = this.#restores.all().map((restore) => restore.follow());
    await Promise.all([...jobs, ...restores, ...others]);
  }

  /** Ends all jobs; running backups are stopped with nothing committed. Mounts live on. Never fails. */
  async stop(): Promise<void> {
    await Promise.all(this.#jobs.takeAll().map((job) => this.#endJob(job, 'job ended, the daemon stops')));
  }

  /** Beside everything else: its storage may hang. */
  #adoptReader(restore: RestoreSession): void {
    const { engine, sharing, logger } = this.options;
    const { readerRecord } = restore;
    if (readerRecord !== null) restore.attach(RestoreReader.adopt(engine, sharing, readerRecord, logger));
  }

  async #endJob(job: JobSession, message: string): Promise<void> {
    await job.end();
    for (const backup of job.backups) this.#backups.take(backup.id);
    this.options.logger.info({ job: job.id }, message);
  }

  async #endRestore(restore: RestoreSession, message: string, call?: Pick<Call, 'log'>): Promise<void> {
    await restore.end((level, line) => call?.log(level, line));
    this.options.logger.info({ restore: restore.id }, message);
  }
}

function storedOf({ stats, sizeBytes }: BackupResult): Stored {
  return { addedBytes: stats.addedBytes, readBytes: stats.readBytes, sizeBytes };
}
