/**
 * The backup of one guest, as Proxmox VE's provider calls drive it:
 *
 *     begun ── query ──→ begun ── run ──→ running ── commit ──→ committed
 *       │                            └────── fail ────→ failed
 *       └───────────── end (from anywhere) ──────────────────→ ended ── keepLog ──→ ended
 *
 * Invariants: the snapshot is committed before `run` answers, since QEMU forgets what is dirty then; nothing that comes later takes a
 * committed snapshot back, whatever Proxmox VE says about success (a hook or prune that fails afterwards is reported as a
 * failure of the backup). A run that is cancelled, by its caller or by the end of the session, commits nothing. The
 * guest stays claimed from the beginning to the end.
 */
import type { Clock } from '../lib/clock.js';
import { crashPoint } from '../lib/crash-points.js';
import { abortReason, withDeadline } from '../lib/deadline.js';
import { toVzvaultError, VzvaultError } from '../lib/errors.js';
import { formatGuest, type GuestType, type SnapshotId } from '../lib/guest.js';
import { sessionLimits } from '../lib/limits.js';
import type { Logger } from '../lib/logger.js';
import type { ProcessIdentity } from '../lib/process-identity.js';
import type { BackupResult } from '../repository/backup-session.js';
import type { Repository } from '../repository/repository.js';
import type { Sharing } from '../repository/sessions/sharing.js';
import { describeHealed, healSnapshots } from '../repository/verification/healing.js';
import type {
  Call,
  ContainerCall,
  ContainerMechanism,
  GuestBackupRequest,
  VmBackupRequest,
  VmCall,
  VmMechanism,
} from './call.js';
import { backUpContainer } from './container-backup.js';
import type { DiscardSwitch } from './discard-switch.js';
import type { GuestBitmaps } from './guest-bitmaps.js';
import { StateMachine, type Transitions } from './state-machine.js';
import { TaskLog } from './task-log.js';
import { backUpVm } from './vm-backup.js';

type BackupState = 'begun' | 'running' | 'committed' | 'failed' | 'ended';
type BackupEvent = 'query' | 'run' | 'commit' | 'fail' | 'end';

const transitions: Transitions<BackupState, BackupEvent> = {
  begun: { query: 'begun', run: 'running', end: 'ended' },
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
  readonly vmMechanism: VmMechanism;
  readonly bitmaps: GuestBitmaps;
  /** Of the job. */
  readonly discards: DiscardSwitch;
  /** Gives the guest free. */
  readonly releaseGuest: () => void;
  readonly createdBy: { readonly version: string; readonly hostname: string };
  readonly stallTimeoutMs: number;
  readonly clock: Clock;
  readonly sharing: Sharing;
  readonly logger: Logger;
}

export class GuestBackupSession {
  readonly id: string;
  readonly owner: ProcessIdentity;
  readonly #machine: StateMachine<BackupState, BackupEvent>;
  readonly #stop = new AbortController();
  readonly #taskLog: TaskLog;
  #running: Promise<unknown> = Promise.resolve();
  #healing: Promise<void> = Promise.resolve();
  readonly #stopHealing = new AbortController();
  #result: BackupResult | null = null;

  constructor(private readonly options: GuestBackupOptions) {
    ({ id: this.id, owner: this.owner } = options);
    this.#machine = new StateMachine(`the backup of ${formatGuest(options.snapshotId)}`, transitions, 'begun');
    this.#taskLog = new TaskLog(options.clock);
  }

  get state(): BackupState {
    return this.#machine.state;
  }

  /** What the snapshot added to the repository; 0 where none was committed. */
  get addedBytes(): number {
    return this.#result?.stats.addedBytes ?? 0;
  }

  /** How the guest's data is to be handed over. */
  mechanism(): VmMechanism | ContainerMechanism {
    const { snapshotId, vmMechanism } = this.options;
    return snapshotId.guestType === 'qemu' ? vmMechanism : 'directory';
  }

  /** For each disk whether its bitmap is used or begins anew. */
  async queryIncremental(
    qemuPid: number | null,
    disks: Readonly<Record<string, { readonly sizeBytes: number }>>,
  ): Promise<Record<string, 'new' | 'use'>> {
    this.#requireType('qemu', 'asking for dirty bitmaps');
    this.#machine.fire('query');
    const modes = await this.options.bitmaps.query(qemuPid, disks);
    crashPoint('incremental-queried');
    return modes;
  }

  /** Backs the disks up and commits. Rejects with nothing committed. Once only: E_SESSION_STATE. */
  async run(request: VmBackupRequest, call: VmCall): Promise<BackupResult> {
    this.#requireType('qemu', 'backing it up as a VM');
    const remembering: VmCall = {
      ...this.#remembering(call),
      descriptors: call.descriptors,
      nextDirtyRegions: (device) => call.nextDirtyRegions(device),
    };
    return await this.#run(call, (signal) => backUpVm(this.options, request, remembering, signal));
  }

  /** The same for a container's files. */
  async runContainer(request: GuestBackupRequest, call: ContainerCall): Promise<BackupResult> {
    this.#requireType('lxc', 'backing it up as a container');
    const { archiveFd, messages } = call;
    const remembering: ContainerCall = {
      ...this.#remembering(call),
      ...{ archiveFd, messages },
      closeArchive: () => {
        call.closeArchive();
      },
      archiveEnd: () => call.archiveEnd(),
    };
    return await this.#run(call, (signal) => backUpContainer(this.options, request, remembering, signal));
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
    await this.#endHealing();
    if (this.#machine.allows('end')) this.#machine.fire('end');
    await this.#releaseBitmaps();
    this.options.releaseGuest();
    return { addedBytes: this.addedBytes };
  }

  /** Keeps Proxmox VE's log of the guest's task, with our lines in it, beside the snapshot. False where there is no snapshot. */
  async keepLog(log: Buffer): Promise<boolean> {
    const result = this.#result;
    if (result === null) return false;
    const { sidecars } = this.options.repository.snapshots;
    const keeping = sidecars.setLog(result.id, this.#taskLog.merge(log));
    await withDeadline(keeping, sessionLimits.openMs, 'E_STORAGE_TIMEOUT', 'storing the task log');
    crashPoint('log-kept');
    return true;
  }

  async #run(call: Call, work: (signal: AbortSignal) => Promise<BackupResult>): Promise<BackupResult> {
    this.#machine.fire('run');
    const signal = AbortSignal.any([call.signal, this.#stop.signal]);
    const run = this.#settle(work(signal), signal);
    this.#running = run.catch(() => undefined);
    return await run;
  }

  async #settle(work: Promise<BackupResult>, signal: AbortSignal): Promise<BackupResult> {
    const { options } = this;
    try {
      const result = await work;
      this.#result = result;
      this.#machine.fire('commit');
      options.logger.info({ backup: this.id, ...result.stats }, 'backup committed');
      this.#healing = this.#heal();
      return result;
    } catch (thrown) {
      this.#machine.fire('fail');
      const error = signal.aborted ? abortReason(signal) : toVzvaultError(thrown);
      options.logger.warn({ backup: this.id, code: error.code }, `backup failed: ${error.message}`);
      throw error;
    }
  }

  /** Beside the answer, which must not wait for it: other snapshots that were marked as damaged may be whole now. Never rejects. */
  async #heal(): Promise<void> {
    const { repository, clock, logger } = this.options;
    try {
      const healed = await healSnapshots(repository, { clock, signal: this.#stopHealing.signal });
      if (healed.length > 0) logger.info({ backup: this.id }, describeHealed(healed));
    } catch (thrown) {
      const { code, message } = toVzvaultError(thrown);
      logger.warn({ backup: this.id, code }, `looking for snapshots that are whole again: ${message}`);
    }
  }

  /** The repository is closed after the end: what was not looked at by then is looked at after the next backup. */
  async #endHealing(): Promise<void> {
    await withDeadline(this.#healing, sessionLimits.endMs, 'E_STORAGE_TIMEOUT', 'ending a look at snapshots').catch(
      () => {
        this.#stopHealing.abort(new VzvaultError('E_CANCELLED', 'the backup job has ended'));
      },
    );
  }

  /** Before the repository is closed: a heartbeat that is slow just now goes first. */
  async #releaseBitmaps(): Promise<void> {
    const { bitmaps, logger } = this.options;
    await withDeadline(bitmaps.release(), sessionLimits.endMs, 'E_STORAGE_TIMEOUT', 'letting a base go').catch(
      (error: unknown) => {
        logger.warn({ backup: this.id }, toVzvaultError(error).message);
      },
    );
  }

  /** What is common to all calls, with lines that are kept for the log. */
  #remembering(call: Call): Call {
    return {
      peer: call.peer,
      signal: call.signal,
      log: (level, message) => {
        this.#taskLog.add(level, message);
        call.log(level, message);
      },
    };
  }

  #requireType(guestType: GuestType, doing: string): void {
    const { snapshotId } = this.options;
    if (snapshotId.guestType === guestType) return;
    throw new VzvaultError('E_UNSUPPORTED', `${doing}: ${formatGuest(snapshotId)} is another type of guest`);
  }
}
