/**
 * The grammar of archive names: how a snapshot is called as a volume of Proxmox VE.
 *
 *     vzdump-qemu-100-2026_11_22-04_17_14.vzv
 *
 * The time is the backup's start in UTC. A name has exactly one spelling. The same grammar is implemented in Perl; the
 * vectors in test/contract/archive-names.json hold both to it.
 */

import { isGuestType, parseVmid, type SnapshotId } from './guest.js';
import { formatUnderscoredTime, parseUnderscoredTime } from './time.js';

// Without the m flag `$` matches only at the very end (unlike in Perl), so a trailing newline is refused.
const ARCHIVE_NAME = /^vzdump-(qemu|lxc)-([0-9]+)-([0-9_]+-[0-9_]+)\.vzv$/;
const VOLUME_PREFIX = 'backup/';

/** `vzdump-qemu-100-2026_11_22-04_17_14.vzv` */
export function formatArchiveName(id: SnapshotId): string {
  return `vzdump-${id.guestType}-${String(id.vmid)}-${formatUnderscoredTime(id.timeSeconds)}.vzv`;
}

/** `backup/vzdump-qemu-100-2026_11_22-04_17_14.vzv`: what follows the storage id in a volid. */
export function formatVolumeName(id: SnapshotId): string {
  return VOLUME_PREFIX + formatArchiveName(id);
}

/** The snapshot that an archive name (without any directory) names, or null where it is not an archive name. */
export function parseArchiveName(name: string): SnapshotId | null {
  const match = ARCHIVE_NAME.exec(name);
  if (match === null) return null;
  const [, guestType = '', vmidText = '', timeText = ''] = match;
  const vmid = parseVmid(vmidText);
  const timeSeconds = parseUnderscoredTime(timeText);
  if (!isGuestType(guestType) || vmid === null || timeSeconds === null) return null;
  return { guestType, vmid, timeSeconds };
}

/** The snapshot that a volume name (`backup/…`, without a storage id) names, or null. */
export function parseVolumeName(volume: string): SnapshotId | null {
  return volume.startsWith(VOLUME_PREFIX) ? parseArchiveName(volume.slice(VOLUME_PREFIX.length)) : null;
}
