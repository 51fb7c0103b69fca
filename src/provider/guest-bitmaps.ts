/**
 * The dirty bitmaps in the backup of one guest: which are asked for, what PVE's answer to that means for each disk, and what is
 * remembered for the next backup.
 *
 *     query → decide (each disk) → isBaseSound → [commit] → remember
 *                                        └── forget: after an error that the bitmap or its base may have caused
 */
import type { VolumeMap } from '../engine/types.js';
import { withDeadline } from '../lib/deadline.js';
import { hasCode, VzvaultError, type ErrorCode } from '../lib/errors.js';
import { formatSnapshotId, type SnapshotId } from '../lib/guest.js';
import { sessionLimits } from '../lib/limits.js';
import type { ProcessTable } from '../lib/process-identity.js';
import type { Repository } from '../repository/repository.js';
import { rootsOf } from '../repository/sessions/map-root.js';
import type { Sharing } from '../repository/sessions/sharing.js';
import { WriterSession } from '../repository/sessions/writer-session.js';
import type { SnapshotVolume } from '../repository/snapshot-document.js';
import type { BitmapRecords } from './bitmap-records.js';
import type { DiskRequest, StorageSection } from './call.js';
import {
  isSameQemu,
  proveBitmap,
  type BaseState,
  type BitmapRecord,
  type DriveDecision,
  type QemuIdentity,
} from './incremental-proof.js';

export interface GuestBitmapsOptions {
  readonly storage: StorageSection;
  /** The snapshot that is being made. */
  readonly snapshotId: SnapshotId;
  readonly repository: Repository;
  readonly records: BitmapRecords;
  readonly processes: ProcessTable;
  readonly sharing: Sharing;
}

/** What only a sound base and a whole bitmap prevent: the next backup shall not meet it again. */
const suspicious: ReadonlySet<ErrorCode> = new Set(['E_SOURCE_BITMAP', 'E_CHUNK_MISSING', 'E_CHUNK_DAMAGED']);

export class GuestBitmaps {
  readonly #decisions = new Map<string, DriveDecision>();
  #qemu: QemuIdentity | null = null;
  /** Holds the base while nothing is backed up yet. */
  #session: WriterSession | null = null;

  constructor(private readonly options: GuestBitmapsOptions) {}

  /** Answers backup_vm_query_incremental. Errors of the storage; E_STORAGE_TIMEOUT. */
  async query(
    qemuPid: number | null,
    disks: Readonly<Record<string, { readonly sizeBytes: number }>>,
  ): Promise<Record<string, 'new' | 'use'>> {
    const { repository } = this.options;
    const record = this.#record();
    this.#qemu = qemuPid === null ? null : this.#identify(qemuPid);
    const { repositoryId } = repository.config;
    // Where the record is of another repository or process its snapshot need not be looked for.
    const isLookedFor = record?.repositoryId === repositoryId && this.#qemu !== null;
    const base: BaseState = isLookedFor ? await this.#held(record) : { state: 'missing' };
    const modes: Record<string, 'new' | 'use'> = {};
    for (const [device, { sizeBytes }] of Object.entries(disks)) {
      const decision = proveBitmap(record, { repositoryId, qemu: this.#qemu, base }, device, sizeBytes);
      this.#decisions.set(device, decision);
      modes[device] = decision.mode === 'incremental' ? 'use' : 'new';
    }
    return modes;
  }

  /** The session that holds the base, for the backup to go on in; whoever takes it ends it. Null where nothing is held. */
  takeSession(): WriterSession | null {
    const session = this.#session;
    this.#session = null;
    return session;
  }

  /** Lets the base go where no backup came of it. Never fails: a collection ends what cannot be ended here. */
  async release(): Promise<void> {
    await this.takeSession()
      ?.end()
      .catch(() => undefined);
  }

  /**
   * How the disk is read, now that PVE has said what its bitmap is. E_SOURCE_BITMAP where only a bitmap's regions can be read and
   * nothing proves that they suffice.
   */
  decide(disk: DiskRequest): DriveDecision {
    const proved = this.#decisions.get(disk.device) ?? { mode: 'full', reason: 'no-record' };
    switch (disk.bitmapMode) {
      case 'none':
        return { mode: 'full', reason: 'bitmap-none' };
      case 'new':
        return proved.mode === 'full' ? proved : { mode: 'full', reason: 'bitmap-lost' };
      case 'reuse':
        if (proved.mode === 'incremental' && proved.base.sizeBytes === disk.sizeBytes) return proved;
        throw new VzvaultError(
          'E_SOURCE_BITMAP',
          `backing up ${disk.device}: Proxmox VE reuses a bitmap that was not asked for`,
        );
    }
  }

  /** Whether the snapshot that incremental disks build on is still there and unflagged. To be asked before the commit. */
  async isBaseSound(): Promise<boolean> {
    const first = [...this.#decisions.values()].find((decision) => decision.mode === 'incremental');
    if (first === undefined) return true;
    return (await this.#stateOf(first.since)).state === 'present';
  }

  /**
   * To be called between the commit and its answer. Afterwards the record is that of this snapshot, or there is none: E_INTERNAL. Without a
   * sound base there is none, since what vanished with the base is put back only by a full read.
   */
  remember(volumes: readonly SnapshotVolume[], disks: readonly DiskRequest[], isBaseSound: boolean): void {
    const { storage, snapshotId, repository, records } = this.options;
    const { id: storageId, instance = '' } = storage;
    const qemu = this.#qemu;
    const now = qemu === null ? null : this.#identify(qemu.pid);
    if (qemu === null || now === null || !isSameQemu(qemu, now) || !isBaseSound) {
      records.remove(storageId, snapshotId);
      return;
    }
    const withBitmap = new Set(disks.filter(({ bitmapMode }) => bitmapMode !== 'none').map(({ device }) => device));
    const kept = volumes
      .filter(({ name }) => withBitmap.has(name))
      .map((volume) => [volume.name, mapOf(volume)] as const);
    const { repositoryId } = repository.config;
    records.write({ ...snapshotId, storageId, instance, repositoryId, qemu, disks: Object.fromEntries(kept) });
  }

  /** After a failed backup. Never fails. */
  forget(code: ErrorCode): void {
    const { storage, snapshotId, records } = this.options;
    if (!suspicious.has(code)) return;
    try {
      records.remove(storage.id, snapshotId);
    } catch {
      // The backup has failed with what matters; the bitmap still marks all that the record promises.
    }
  }

  /** Between two sections of one id, a backup of another kind may have cleared the bitmaps. */
  #record(): BitmapRecord | null {
    const { storage, snapshotId, records } = this.options;
    const record = records.read(storage.id, snapshotId);
    return record?.instance === (storage.instance ?? '') ? record : null;
  }

  /** The state of the base once it is announced that it is needed: what is there then stays until the backup has ended. */
  async #held(id: SnapshotId): Promise<BaseState> {
    const { repository, sharing, snapshotId } = this.options;
    const state = await this.#stateOf(id);
    if (state.state !== 'present') return state;
    await this.release();
    const roots = rootsOf({ volumes: state.volumes, archives: [] });
    const opening = WriterSession.open(repository.blobs, repository.sealer, sharing, { snapshot: snapshotId, roots });
    const doing = `announcing the backup ${formatSnapshotId(snapshotId)}`;
    try {
      this.#session = await withDeadline(opening, sessionLimits.openMs, 'E_STORAGE_TIMEOUT', doing);
      return await this.#stateOf(id);
    } catch (error) {
      void opening.then((late) => late.end()).catch(() => undefined);
      this.#session = null;
      throw error;
    }
  }

  #identify(pid: number): QemuIdentity | null {
    const { processes } = this.options;
    const identity = processes.identify(pid);
    const bootId = processes.bootId();
    return identity === null || bootId === null ? null : { ...identity, bootId };
  }

  async #stateOf(id: SnapshotId): Promise<BaseState> {
    const { snapshots } = this.options.repository;
    const doing = `reading the snapshot ${formatSnapshotId(id)}`;
    try {
      const looking = Promise.all([snapshots.read(id), snapshots.sidecars.verifyState(id)]);
      const [document, verified] = await withDeadline(looking, sessionLimits.openMs, 'E_STORAGE_TIMEOUT', doing);
      if (verified?.state === 'damaged') return { state: 'damaged' };
      return { state: 'present', volumes: document.volumes };
    } catch (error) {
      if (hasCode(error, 'E_SNAPSHOT_MISSING')) return { state: 'missing' };
      if (hasCode(error, 'E_SNAPSHOT_DAMAGED')) return { state: 'damaged' };
      throw error;
    }
  }
}

function mapOf({ sizeBytes, chunkSizeBytes, levels, rootId }: VolumeMap): VolumeMap {
  return { sizeBytes, chunkSizeBytes, levels, rootId };
}
