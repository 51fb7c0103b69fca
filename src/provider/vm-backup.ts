/**
 * What backup.vm does: one disk after the other into a new snapshot, the commit, and what is remembered of the bitmaps. Rejects with nothing
 * committed; but for a failure to remember (`GuestBitmaps.remember`), which must not be answered with success.
 */
import { crashPoint } from '../lib/crash-points.js';
import { toVzvaultError } from '../lib/errors.js';
import type { BackupResult, BackupSession } from '../repository/backup-session.js';
import { BackupProgress, driveLine } from './backup-progress.js';
import type { DiskRequest, VmBackupRequest, VmCall } from './call.js';
import { dirtyRegionsOf, sourceOf } from './disk-source.js';
import { requireWhole } from './dirty-total.js';
import type { DiscardSwitch } from './discard-switch.js';
import type { GuestBitmaps } from './guest-bitmaps.js';
import { abortSnapshot, beginSnapshot, type SnapshotOptions } from './guest-snapshot.js';

export interface VmBackupOptions extends SnapshotOptions {
  readonly bitmaps: GuestBitmaps;
  /** Of the job. */
  readonly discards: DiscardSwitch;
  readonly stallTimeoutMs: number;
}

/** Backs all disks up and commits. `signal` ends it with nothing committed, unless it is past ending. */
export async function backUpVm(
  options: VmBackupOptions,
  request: VmBackupRequest,
  call: VmCall,
  signal: AbortSignal,
): Promise<BackupResult> {
  const { bitmaps, clock } = options;
  const progress = new BackupProgress(request.disks, clock);
  let snapshot: BackupSession | null = null;
  try {
    snapshot = await beginSnapshot(options, request, signal, bitmaps.takeSession());
    for (const [index, disk] of request.disks.entries()) {
      await backUpDisk({ options, snapshot, call, signal, progress }, disk, index);
    }
    const isBaseSound = await bitmaps.isBaseSound();
    const result = await snapshot.commit(signal);
    bitmaps.remember(result.volumes, request.disks, isBaseSound);
    crashPoint('bitmaps-recorded');
    for (const line of progress.summary(result.stats.addedBytes)) call.log('info', line);
    return result;
  } catch (error) {
    await abortSnapshot(options, snapshot);
    bitmaps.forget(toVzvaultError(error).code);
    throw error;
  }
}

interface DiskContext {
  readonly options: VmBackupOptions;
  readonly snapshot: BackupSession;
  readonly call: VmCall;
  readonly signal: AbortSignal;
  readonly progress: BackupProgress;
}

async function backUpDisk(context: DiskContext, disk: DiskRequest, index: number): Promise<void> {
  const { options, snapshot, call, signal, progress } = context;
  const { device, sizeBytes } = disk;
  const decision = options.bitmaps.decide(disk);
  call.log('info', driveLine(device, sizeBytes, decision));
  progress.begin(device);
  const incremental =
    decision.mode === 'incremental' ? { base: decision.base, dirty: dirtyRegionsOf(disk, call) } : null;
  const { counters, discardRefusal } = await snapshot.backupVolume(
    {
      name: device,
      source: sourceOf(disk, index, call),
      expectedSizeBytes: sizeBytes,
      stallTimeoutMs: options.stallTimeoutMs,
      incremental,
      discard: options.discards.isOn,
    },
    {
      signal,
      onProgress: (counts) => {
        const line = progress.update(device, counts);
        if (line !== null) call.log('info', line);
      },
    },
  );
  if (incremental !== null) {
    const seenBytes = sizeBytes - counters.unchangedBytes;
    requireWhole({ device, sizeBytes, seenBytes, countedBytes: disk.dirtyBytes });
  }
  call.log('info', progress.finish(device, counters));
  if (discardRefusal !== null) options.discards.refuse(call, device, discardRefusal);
}
