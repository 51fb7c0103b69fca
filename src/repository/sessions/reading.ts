/**
 * Opening a reader's session in the right order: announced first, looked for once more after that (docs/format.md, "Sharing").
 *
 * A restore must go on where nothing can be written: on a storage that is full, or mounted read-only. Then it reads without a session. What a
 * snapshot that stays refers to stays as well; only one that is removed meanwhile, and collected by a node that can write, fails while it is read.
 */

import type { MapRoot } from '../../engine/types.js';
import { hasCode, type ErrorCode } from '../../lib/errors.js';
import type { Repository } from '../repository.js';
import type { SnapshotDocument } from '../snapshot-document.js';
import { rootsOf } from './map-root.js';
import { duringSession, PassiveSession } from './passive-session.js';
import type { Sharing } from './sharing.js';

const UNWRITABLE: readonly ErrorCode[] = ['E_READ_ONLY', 'E_PERMISSION', 'E_NO_SPACE'];

/** A session that protects the roots; null where the repository cannot be written. */
export async function announceReader(
  { blobs, sealer }: Pick<Repository, 'blobs' | 'sealer'>,
  sharing: Sharing,
  roots: readonly MapRoot[],
): Promise<PassiveSession | null> {
  try {
    return await PassiveSession.open(blobs, sealer, sharing, { roots });
  } catch (error) {
    if (hasCode(error, ...UNWRITABLE)) return null;
    throw error;
  }
}

/** A session that protects a snapshot which was read before, and is still there. E_SNAPSHOT_MISSING. */
export async function openReader(
  repository: Repository,
  sharing: Sharing,
  document: Pick<SnapshotDocument, 'id' | 'volumes' | 'archives'>,
): Promise<PassiveSession | null> {
  const session = await announceReader(repository, sharing, rootsOf(document));
  try {
    await repository.snapshots.read(document.id);
    return session;
  } catch (error) {
    await session?.end().catch(() => undefined);
    throw error;
  }
}

/** Works on a snapshot that was read before, and protects it meanwhile. E_SNAPSHOT_MISSING, errors of `work`. */
export async function withReader<T>(
  repository: Repository,
  sharing: Sharing,
  document: Pick<SnapshotDocument, 'id' | 'volumes' | 'archives'>,
  work: () => Promise<T>,
): Promise<T> {
  const session = await openReader(repository, sharing, document);
  return await duringSession(session, work);
}
