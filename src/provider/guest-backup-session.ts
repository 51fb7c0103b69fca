/**
 * The backup of one guest, as Proxmox VE's provider calls drive it:
 *
 *     begun ── run ──→ running ── commit ──→ committed
 *       │                 └────── fail ────→ failed
 *       └───────────── end (from anywhere) ─────────→ ended
 *
 * Invariants: the snapshot is committed before `run` answers, since QEMU forgets what is dirty then; nothing that comes later takes a
 * committed snapshot back, whatever Proxmox VE says about success (a hook or prune that fails afterwards is reported as a
 * failure of the backup). A run that is cancelled, by its caller or by the end of the session, commits nothing. The
 * guest stays claimed from the beginning to the end.
 */
import type { Clock } from '../lib/clock.js';
import { abortReason, withDeadline, withSignal } from '../lib/deadline.js';
import { toVzvaultError, VzvaultError } from '../lib/errors.js';
import { formatGuest, type SnapshotId } from '../lib/guest.js';
import { sessionLimits } from '../lib/limits.js';
import type { Logger } from '../lib/logger.js';
import type { ProcessIdentity } from '../lib/process-identity.js';
import { beginBackup, type BackupResult, type BackupSession } from '../repository/backup-session.js';
import type { Repository } from '../repository/repository.js';
import { addProgress, DriveProgress, driveStartLine, noProgress, summaryLines } from './backup-progress.js';
import type { Call, DiskRequest, VmBackupRequest } from './call.js';
import { StateMachine, type Transitions } from './state-machine.js';

type BackupState = 'begun' | 'running' | 'committed' | 'failed' | 'ended';
type BackupEvent = 'run' | 'commit' | 'fail' | 'end';

const transitions: Transitions<BackupState, BackupEvent> = {
  begun: { run: 'running', end: 'ended' },
  running: { commit: 'committed', fail: 'failed' },
  committed: { end: 'ended' },
  failed: { end: 'ended' },
  ended: {},
};

export interface GuestBackupOptions {
  readonly id: string;
  readonly owner: ProcessIdentity;
  readonly snapshotId: SnapshotId;
  /** Of the job, which outlives the backup. */
  readonly repository: Repository;
  /** Gives the guest free. */
  readonly releaseGuest: () => void;
  readonly createdBy: { readonly version: string; readonly hostname: string };
  readonly stallTimeoutMs: number;
  readonly clock: Clock;
  readonly logger: Logger;
}

export class GuestBackupSession {
  readonly id: string;
  readonly owner: ProcessIdentity;
  readonly #machine: StateMachine<BackupState, BackupEvent>;
  readonly #stop = new AbortController();
  #running: Promise<unknown> = Promise.resolve();
  #result: BackupResult | null = null;

  constructor(private readonly options: GuestBackupOptions) {
    ({ id: this.id, owner: this.owner } = options);
    this.#machine = new StateMachine(`the backup of ${formatGuest(options.snapshotId)}`, transitions, 'begun');
  }

  get state(): BackupState {
    return this.#machine.state;
  }

  /** What the snapshot added to the repository; 0 where none was committed. */
  get addedBytes(): number {
    return this.#result?.stats.addedBytes ?? 0;
  }

  /** E_UNSUPPORTED for guests that cannot be backed up. */
  mechanism(): 'nbd' {
    const { guestType } = this.options.snapshotId;
    if (guestType === 'qemu') return 'nbd';
    throw new VzvaultError(
      'E_UNSUPPORTED',
      `backing up ${formatGuest(this.options.snapshotId)}: containers are not supported`,
    );
  }

  /** Backs the disks up and commits. Rejects with nothing committed. Once only: E_SESSION_STATE. */
  async run(request: VmBackupRequest, call: Call): Promise<BackupResult> {
    this.mechanism();
    this.#machine.fire('run');
    const signal = AbortSignal.any([call.signal, this.#stop.signal]);
    const run = this.#run(request, call, signal);
    this.#running = run.catch(() => undefined);
    return await run;
  }

  /** Repeatable; stops what runs, and waits for that only so long. Never fails. */
  async end(why: string): Promise<{ addedBytes: number }> {
    if (this.#machine.state === 'running') {
      const reason = new VzvaultError(
        'E_CANCELLED',
        `the backup of ${formatGuest(this.options.snapshotId)} was stopped: ${why}`,
      );
      this.#stop.abort(reason);
      await withDeadline(this.#running, sessionLimits.endMs, 'E_STORAGE_TIMEOUT', 'stopping a backup').catch(
        (error: unknown) => {
          this.options.logger.warn({ backup: this.id }, toVzvaultError(error).message);
        },
      );
    }
    if (this.#machine.allows('end')) this.#machine.fire('end');
    this.options.releaseGuest();
    return { addedBytes: this.addedBytes };
  }

  async #run(request: VmBackupRequest, call: Call, signal: AbortSignal): Promise<BackupResult> {
    const startedMs = this.options.clock.monotonicMs();
    let snapshot: BackupSession | null = null;
    try {
      snapshot = await this.#begin(signal);
      snapshot.addFile('guest.conf', Buffer.from(request.configBase64, 'base64'));
      if (request.firewallBase64 !== null)
        snapshot.addFile('firewall.conf', Buffer.from(request.firewallBase64, 'base64'));
      let total = noProgress;
      for (const disk of request.disks) {
        total = addProgress(total, await this.#backUpDisk(snapshot, disk, request, call, signal));
      }
      const result = await snapshot.commit(signal);
      this.#result = result;
      this.#machine.fire('commit');
      const durationMs = this.options.clock.monotonicMs() - startedMs;
      for (const line of summaryLines(total, result.stats.addedBytes, durationMs)) call.log('info', line);
      this.options.logger.info(
        { backup: this.id, durationMs: Math.round(durationMs), ...result.stats },
        'backup committed',
      );
      return result;
    } catch (thrown) {
      this.#machine.fire('fail');
      await this.#abort(snapshot);
      const error = signal.aborted ? abortReason(signal) : toVzvaultError(thrown);
      this.options.logger.warn({ backup: this.id, code: error.code }, `backup failed: ${error.message}`);
      throw error;
    }
  }

  async #begin(signal: AbortSignal): Promise<BackupSession> {
    const { repository, snapshotId: id, createdBy, clock } = this.options;
    const beginning = beginBackup(repository, { id, createdBy, clock });
    try {
      return await withSignal(beginning, signal);
    } catch (error) {
      void beginning.then((late) => this.#abort(late)).catch(() => undefined);
      throw error;
    }
  }

  async #backUpDisk(
    snapshot: BackupSession,
    disk: DiskRequest,
    request: VmBackupRequest,
    call: Call,
    signal: AbortSignal,
  ): Promise<typeof noProgress> {
    const { device, sizeBytes, nbdPath } = disk;
    if (disk.bitmapMode === 'reuse') {
      throw new VzvaultError(
        'E_UNSUPPORTED',
        `backing up ${device}: this version cannot read only what a bitmap marks`,
      );
    }
    call.log('info', driveStartLine(device, sizeBytes));
    const lines = new DriveProgress(device, this.options.clock);
    const { counters } = await snapshot.backupVolume(
      {
        name: device,
        source: { kind: 'nbd', socketPath: nbdPath, exportName: device },
        expectedSizeBytes: sizeBytes,
        bandwidthLimitBytesPerSecond: request.bandwidthLimitBytesPerSecond,
        stallTimeoutMs: this.options.stallTimeoutMs,
      },
      {
        signal,
        onProgress: (progress) => {
          const line = lines.update(progress);
          if (line !== null) call.log('info', line);
        },
      },
    );
    call.log('info', lines.finished(counters));
    return counters;
  }

  /** What cannot be cleaned up lies in tmp/ and counts as absent. */
  async #abort(snapshot: BackupSession | null): Promise<void> {
    try {
      const aborting = snapshot?.abort() ?? Promise.resolve();
      await withDeadline(aborting, sessionLimits.endMs, 'E_STORAGE_TIMEOUT', 'removing unfinished files');
    } catch (error) {
      this.options.logger.warn({ backup: this.id }, toVzvaultError(error).message);
    }
  }
}
