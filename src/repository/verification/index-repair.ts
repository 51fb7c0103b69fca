/**
 * Making the index anew from the tables of the packs, for an index that is damaged, lost or another repository's. Needs no key.
 *
 * The new segments are durable, and can be seen by everybody, before an old one goes; and an old one goes, to `quarantine/`, only where all that it
 * lists is in the new ones or in packs that are not there. So writers, readers and collections go on meanwhile.
 */

import type { CopyProgress, IndexRebuild, JobControl } from '../../engine/types.js';
import type { Repository } from '../repository.js';
import { duringSession, PassiveSession } from '../sessions/passive-session.js';
import { moveToQuarantine, type MendingOptions } from './quarantine.js';

export async function repairIndex(
  repository: Repository,
  { sharing, signal, graceMs }: MendingOptions,
  control: JobControl<CopyProgress>,
): Promise<IndexRebuild> {
  const { blobs, sealer } = repository;
  const session = await PassiveSession.open(blobs, sealer, sharing, { roots: [] });
  return await duringSession(session, async () => {
    const store = await repository.openStore();
    const isEncrypted = repository.config.keyFingerprint !== null;
    const result = await store.rebuildIndex({ sessionId: session.id, isEncrypted }, control);
    if (result.replaced.length > 0 && graceMs > 0) await sharing.clock.sleep(graceMs, signal);
    signal.throwIfAborted();
    for (const segment of result.replaced) await moveToQuarantine(repository, `index/${segment}`, `${segment}.segment`);
    await store.refresh();
    return result;
  });
}
