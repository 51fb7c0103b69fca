/** Names in `quarantine/`: how files get there, and how packs that lie there leave the index. Nothing is deleted. */

import { hasCode } from '../../lib/errors.js';
import { DEFAULT_COLLECTION_ZSTD_LEVEL } from '../collection/collector-defaults.js';
import type { Repository } from '../repository.js';
import { duringSession, PassiveSession } from '../sessions/passive-session.js';
import { absentOf, packsInQuarantine, QUARANTINE } from '../sessions/quarantined.js';
import type { Sharing } from '../sessions/sharing.js';

const NAMES_TRIED = 100;

export interface MendingOptions {
  readonly sharing: Sharing;
  readonly signal: AbortSignal;
  /** How old a listing of a directory may be. */
  readonly graceMs: number;
}

/** Nothing where the file is gone. Further ones of the name get a number. */
export async function moveToQuarantine({ blobs }: Repository, from: string, name: string): Promise<void> {
  for (let number = 1; ; number += 1) {
    try {
      await blobs.move(from, `${QUARANTINE}/${number === 1 ? name : `${name}.${number}`}`);
      return;
    } catch (error) {
      const isTaken = hasCode(error, 'E_NAME_TAKEN');
      if (!isTaken || number === NAMES_TRIED) throw error;
    }
  }
}

/** The ids of packs in quarantine that are not back in `packs/`. */
export async function quarantinedPacks({ blobs }: Repository): Promise<string[]> {
  return await absentOf(blobs, await packsInQuarantine(blobs));
}

/** Takes packs that are not there any more out of the index. E_GC_INCOMPLETE where a segment of it is damaged. */
export async function forgetPacks(
  repository: Repository,
  packs: readonly string[],
  { sharing, signal, graceMs }: MendingOptions,
): Promise<void> {
  const { blobs, sealer } = repository;
  const session = await PassiveSession.open(blobs, sealer, sharing, { roots: [] });
  await duringSession(session, async () => {
    const store = await repository.openStore();
    const reading = { zstdLevel: DEFAULT_COLLECTION_ZSTD_LEVEL, bandwidthLimitBytesPerSecond: 0 };
    const collection = await store.collection({ ...reading, sessionId: session.id });
    try {
      const { replaced } = await collection.mergeSegments(packs, { signal });
      // Whoever lists the new segments only later must still find the old ones.
      if (replaced.length > 0 && graceMs > 0) await sharing.clock.sleep(graceMs, signal);
      signal.throwIfAborted();
      for (const segment of replaced) await blobs.remove(`index/${segment}`);
    } finally {
      await collection.close();
    }
    await store.refresh();
  });
}
