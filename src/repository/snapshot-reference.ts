/**
 * How people and PVE name a snapshot:
 *
 *     qemu/100@2026-11-22T04:17:14Z      qemu/100@latest
 *     vzdump-qemu-100-2026_11_22-04_17_14.vzv, also with backup/ or STORE:backup/ before it
 */

import { VzvaultError } from '../lib/errors.js';
import { parseGuest, type Guest, type SnapshotId } from '../lib/guest.js';
import { parseIsoTime } from '../lib/time.js';
import { parseArchiveName } from '../lib/volume-name.js';
import type { Snapshots } from './snapshots.js';

export type SnapshotReference =
  { readonly kind: 'exact'; readonly id: SnapshotId } | { readonly kind: 'latest'; readonly guest: Guest };

// A storage id as pve-storage accepts it (PVE::Storage, parse_storage_id).
const VOLUME_ID = /^(?:(?:[A-Za-z][A-Za-z0-9._-]*[A-Za-z0-9]:)?backup\/)?([^/]+)$/;

/** E_ARGUMENT_INVALID where the text names no snapshot. */
export function parseSnapshotReference(text: string): SnapshotReference {
  const at = text.indexOf('@');
  if (at >= 0) {
    const guest = parseGuest(text.slice(0, at));
    const time = text.slice(at + 1);
    if (guest !== null && time === 'latest') return { kind: 'latest', guest };
    const timeSeconds = parseIsoTime(time);
    if (guest !== null && timeSeconds !== null) return { kind: 'exact', id: { ...guest, timeSeconds } };
  }
  const id = parseArchiveName(VOLUME_ID.exec(text)?.[1] ?? '');
  if (id !== null) return { kind: 'exact', id };
  throw new VzvaultError(
    'E_ARGUMENT_INVALID',
    `'${text}' names no snapshot; write qemu/100@2026-11-22T04:17:14Z, qemu/100@latest or a volume name`,
  );
}

/** The snapshot that a reference means now. E_SNAPSHOT_MISSING where `latest` finds none; an exact one is not looked up. */
export async function resolveSnapshot(snapshots: Snapshots, text: string): Promise<SnapshotId> {
  const reference = parseSnapshotReference(text);
  return reference.kind === 'exact' ? reference.id : await snapshots.latest(reference.guest);
}
