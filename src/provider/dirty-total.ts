/**
 * Whether the dirty regions that were read are all there are. A list that ended early (its reader was killed, say) looks exactly like one
 * that is whole, and what it lacks would be missing from the snapshot; so their sum is held against what QEMU counted. Pure.
 */
import { formatBytes } from '../lib/units.js';
import { VzvaultError } from '../lib/errors.js';

/** QEMU counts whole granules, so a dirty last one may count beyond the disk's end (pve-qemu, PROXMOX_BACKUP_DEFAULT_CHUNK_SIZE). */
const granuleBytes = 4 * 1024 * 1024;

export interface DirtyTotal {
  readonly device: string;
  readonly sizeBytes: number;
  /** The sum of the regions. */
  readonly seenBytes: number;
  /** Null where it is not known: nothing is checked. */
  readonly countedBytes: number | null;
}

/** E_SOURCE_BITMAP where the two do not agree. */
export function requireWhole({ device, sizeBytes, seenBytes, countedBytes }: DirtyTotal): void {
  if (countedBytes === null) return;
  const beyondEnd = countedBytes - seenBytes;
  const slackBytes = (granuleBytes - (sizeBytes % granuleBytes)) % granuleBytes;
  if (beyondEnd === 0 || (beyondEnd === slackBytes && seenBytes % granuleBytes !== 0)) return;
  throw new VzvaultError(
    'E_SOURCE_BITMAP',
    `backing up ${device}: its dirty regions come to ${formatBytes(seenBytes)} (${seenBytes} bytes), ` +
      `but QEMU counted ${countedBytes} bytes`,
  );
}
