/**
 * One answer of `storage.list`: as many backups as fit into a frame and can be read in the time that an answer has.
 *
 * A repository on a slow mount may hold more snapshots than can be looked at in that time. Whoever asks goes on behind the last one, so each
 * answer has at least one backup where there are any.
 */
import type { Clock } from '../lib/clock.js';
import type { GuestType } from '../lib/guest.js';
import { argumentLimits, storageLimits } from '../lib/limits.js';
import { formatVolumeName } from '../lib/volume-name.js';
import { verifyStateOf, type SnapshotEntry, type SnapshotFilter, type Snapshots } from '../repository/snapshots.js';

/** One backup, as storage.list and storage.info tell it. */
export interface BackupEntry {
  readonly volume: string;
  readonly guestType: GuestType;
  readonly vmid: number;
  readonly timeSeconds: number;
  readonly sizeBytes: number;
  readonly addedBytes: number;
  readonly notes: string;
  readonly protected: boolean;
  readonly verifyState: ReturnType<typeof verifyStateOf>;
}

export interface BackupPage {
  readonly backups: BackupEntry[];
  /** There may be others behind the last one. */
  readonly more: boolean;
}

/** What passes the filter and follows `after` in the order of volume names. */
export async function readBackupPage(
  snapshots: Pick<Snapshots, 'ids' | 'entries'>,
  filter: SnapshotFilter,
  after: string,
  clock: Pick<Clock, 'monotonicMs'>,
): Promise<BackupPage> {
  const begunMs = clock.monotonicMs();
  const named = (await snapshots.ids(filter)).map((id) => ({ id, volume: formatVolumeName(id) }));
  const rest = named.filter(({ volume }) => volume > after).sort((a, b) => (a.volume < b.volume ? -1 : 1));
  const backups: BackupEntry[] = [];
  let textBytes = 0;
  for (let next = 0; next < rest.length; next += storageLimits.listBatch) {
    if (backups.length > 0 && clock.monotonicMs() - begunMs >= storageLimits.listMs) return { backups, more: true };
    const batch = rest.slice(next, next + storageLimits.listBatch).map(({ id }) => id);
    for (const entry of (await snapshots.entries(batch)).map(backupEntryOf)) {
      textBytes += Buffer.byteLength(entry.notes);
      const fits = backups.length < argumentLimits.listEntries && textBytes <= storageLimits.listBytes;
      if (backups.length > 0 && !fits) return { backups, more: true };
      backups.push(entry);
    }
  }
  return { backups, more: false };
}

export function backupEntryOf(entry: SnapshotEntry): BackupEntry {
  const { id, summary, notes } = entry;
  return {
    volume: formatVolumeName(id),
    guestType: id.guestType,
    vmid: id.vmid,
    timeSeconds: id.timeSeconds,
    sizeBytes: summary?.sizeBytes ?? 0,
    addedBytes: summary?.stats.addedBytes ?? 0,
    // The command line may have stored longer ones than the protocol carries. Half a character is no text.
    notes: notes.slice(0, argumentLimits.notesCharacters).replace(/[\uD800-\uDBFF]$/, ''),
    protected: entry.protected,
    verifyState: verifyStateOf(entry),
  };
}
