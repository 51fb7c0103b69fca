/** Snapshot documents for tests. */
import type { SnapshotId } from '../../src/lib/guest.js';
import type { SnapshotArchive, SnapshotDocument } from '../../src/repository/snapshot-document.js';

export const SECOND = 1795321034;

export function idOf(vmid: number, timeSeconds = SECOND, guestType: SnapshotId['guestType'] = 'qemu'): SnapshotId {
  return { guestType, vmid, timeSeconds };
}

/** The archive of a container, with streams that nobody has. */
export const ARCHIVE: SnapshotArchive = {
  name: 'root',
  members: 12_000,
  data: { sizeBytes: 700_000_000, levels: 2, rootId: 'd'.repeat(64) },
  catalogue: { sizeBytes: 1_000_000, levels: 1, rootId: 'c'.repeat(64) },
};

export function documentOf(id: SnapshotId, changes: Partial<SnapshotDocument> = {}): SnapshotDocument {
  return {
    id,
    finishedAtSeconds: id.timeSeconds + 60,
    createdBy: { version: '0.1.0', hostname: 'node1' },
    volumes: [
      { name: 'drive-scsi0', sizeBytes: 1000, chunkSizeBytes: 524288, levels: 1, rootId: 'a'.repeat(64) },
      { name: 'drive-efidisk0', sizeBytes: 540672, chunkSizeBytes: 524288, levels: 1, rootId: '0'.repeat(64) },
    ],
    archives: [],
    files: [{ name: 'guest.conf', bytes: Buffer.from('memory: 512\nname: büro\n') }],
    stats: { unchangedBytes: 0, readBytes: 541672, zeroBytes: 540672, reusedBytes: 0, newBytes: 1000, addedBytes: 900 },
    ...changes,
  };
}
