/**
 * What a mount by command line shows: one snapshot, or all of them, with the logs of their backups.
 *
 * The disks are what is mounted for: a log that cannot be read, or for which there is no room, is named to `leftOut` and left out.
 */

import { hasCode, VzvaultError } from '../lib/errors.js';
import { formatGuest, formatSnapshotId, type SnapshotId } from '../lib/guest.js';
import { mountLimits } from '../lib/limits.js';
import { formatIsoTime } from '../lib/time.js';
import { snapshotNodes, type MountNode } from './mount-spec.js';
import type { SnapshotDocument } from './snapshot-document.js';
import { resolveSnapshot } from './snapshot-reference.js';
import type { SnapshotEntry, Snapshots } from './snapshots.js';

/** Told of everything that is not shown, as "qemu/100@2026-11-22T04:17:14Z: why". */
export type LeftOut = (what: string) => void;

/** The nodes of the snapshot that `reference` names. Errors of `resolveSnapshot` and `Snapshots.read`. */
export async function oneSnapshot(snapshots: Snapshots, reference: string, leftOut: LeftOut): Promise<MountNode[]> {
  const id = await resolveSnapshot(snapshots, reference);
  return snapshotNodes(await snapshots.read(id), '', await readLog(snapshots, id, leftOut));
}

/** The nodes of all of `entries` that can be read, each below `qemu/100/2026-11-22T04:17:14Z/`. E_SNAPSHOT_MISSING where there are none. */
export async function allNodes(
  snapshots: Snapshots,
  leftOut: LeftOut,
  entries: readonly SnapshotEntry[],
): Promise<MountNode[]> {
  const nodes: MountNode[] = [];
  let roomBytes: number = mountLimits.logBytes;
  let logsLeftOut = 0;
  for (const { id, damage, hasLog } of [...entries].sort(newestFirst)) {
    if (damage !== null) {
      leftOut(`${formatSnapshotId(id)}: ${damage}`);
      continue;
    }
    const document = await readIfThere(snapshots, id);
    if (document === null) continue;
    const isShown = hasLog && roomBytes > 0;
    const log = isShown ? await readLog(snapshots, id, leftOut) : null;
    roomBytes -= log?.length ?? 0;
    if (hasLog && !isShown) logsLeftOut += 1;
    nodes.push(...snapshotNodes(document, `${formatGuest(id)}/${formatIsoTime(id.timeSeconds)}/`, log));
  }
  if (nodes.length === 0) throw new VzvaultError('E_SNAPSHOT_MISSING', 'there is nothing to mount');
  if (logsLeftOut > 0) leftOut(`the logs of the ${logsLeftOut} oldest snapshots that have one: they are too many`);
  return nodes;
}

/** Null where it was removed since it was listed. */
async function readIfThere(snapshots: Snapshots, id: SnapshotId): Promise<SnapshotDocument | null> {
  return await snapshots.read(id).catch((error: unknown) => {
    if (hasCode(error, 'E_SNAPSHOT_MISSING')) return null;
    throw error;
  });
}

function newestFirst(a: SnapshotEntry, b: SnapshotEntry): number {
  return b.id.timeSeconds - a.id.timeSeconds;
}

/** Null where there is none to show. */
async function readLog({ sidecars }: Snapshots, id: SnapshotId, leftOut: LeftOut): Promise<Buffer | null> {
  try {
    const log = await sidecars.log(id);
    if (log === null || log.length <= mountLimits.fileBytes) return log;
    leftOut(`the log of ${formatSnapshotId(id)}: it is too long`);
  } catch (error) {
    const isUnreadable = hasCode(error, 'E_SNAPSHOT_DAMAGED', 'E_STORAGE_IO');
    if (!isUnreadable) throw error;
    leftOut(`the log of ${formatSnapshotId(id)}: ${error.message}`);
  }
  return null;
}
