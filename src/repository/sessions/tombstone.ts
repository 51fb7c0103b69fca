/**
 * The document of kind 9 in the place of a snapshot's: the session that had reserved the name was fenced. It is no snapshot, and since a commit never
 * replaces anything, there will be none. It is never removed: its writer may wake up at any time.
 */

import { z } from 'zod';
import { hasCode, VzvaultError } from '../../lib/errors.js';
import { snapshotPath, type SnapshotId } from '../../lib/guest.js';
import { repositoryLimits } from '../../lib/limits.js';
import type { BlobStore } from '../blob-store.js';
import { idSchema, utcTimeSchema } from '../schemas.js';
import { SharingCodec, type SharingSealer } from './sharing-document.js';

export interface Tombstone {
  /** The session that was fenced. */
  readonly sid: string;
  /** The collector's session that did it, and when by its clock; for people. */
  readonly by: string;
  readonly fencedAt: string;
}

export const tombstoneCodec = new SharingCodec<Tombstone>(
  'tombstone',
  z.object({ sid: idSchema, by: idSchema, fencedAt: utcTimeSchema }),
);

/** The kind of document that a sealed file says it is (docs/format.md, "Document": the byte at 12). */
const KIND_OFFSET = 12;
const TOMBSTONE_KIND = 9;

/** Whether what lies under a snapshot's name is a tombstone; looks at the header only. */
export function isTombstone(sealed: Buffer): boolean {
  return (
    sealed.length > KIND_OFFSET &&
    sealed.subarray(0, 8).toString('latin1') === 'VZVSEAL\n' &&
    sealed[KIND_OFFSET] === TOMBSTONE_KIND
  );
}

/** Whether a tombstone lies under the snapshot's name. */
export async function isNameBuried(store: BlobStore, id: SnapshotId): Promise<boolean> {
  const name = snapshotPath(id);
  if ((await store.status(name)) === null) return false;
  const there = await store.read(name, repositoryLimits.sealedDocumentBytes);
  return there !== null && isTombstone(there);
}

/** A name that is taken and free again in turn changes hands with every attempt. */
const ATTEMPTS = 5;

/**
 * Puts a tombstone under a snapshot's name. False where the snapshot is there: its writer has committed. REQUIRES: the store's
 * `putIfAbsent` is atomic.
 */
export async function buryName(
  store: BlobStore,
  sealer: SharingSealer,
  id: SnapshotId,
  tombstone: Tombstone,
): Promise<boolean> {
  const name = snapshotPath(id);
  const sealed = tombstoneCodec.seal(sealer, tombstone);
  for (let attempt = 1; attempt <= ATTEMPTS; attempt += 1) {
    try {
      await store.putIfAbsent(name, sealed);
      return true;
    } catch (error) {
      if (!hasCode(error, 'E_NAME_TAKEN')) throw error;
    }
    const there = await store.read(name, repositoryLimits.sealedDocumentBytes);
    // Removed in between: then the name is free for whoever reserved it.
    if (there !== null) return isTombstone(there);
  }
  throw new VzvaultError('E_STORAGE_IO', `fencing the session ${tombstone.sid}: ${name} comes and goes`);
}
