/** What is in use: the walk from all snapshots, and from what sessions and claims name. */

import type { MapRoot, MarkCounters } from '../../engine/types.js';
import { mapConcurrently } from '../../lib/concurrency.js';
import { toVzvaultError, VzvaultError } from '../../lib/errors.js';
import { formatSnapshotId, type SnapshotId } from '../../lib/guest.js';
import { collectionLimits } from '../../lib/limits.js';
import { uniqueRoots } from '../sessions/map-root.js';
import { settle, type CollectorContext } from './collector-context.js';

/**
 * Marks what all snapshots refer to. E_GC_INCOMPLETE where that cannot be found out. What is missing is believed only when it still is after
 * a while: snapshots are removed meanwhile, and a segment that was written on another node just now may not be seen here yet.
 */
export async function markSnapshots(context: CollectorContext): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      const { chunksMarked, nodesRead, nodesRemembered, filesOpened } = await mark(
        context,
        await snapshotRoots(context),
      );
      context.report(
        `in use: ${chunksMarked} chunks; map nodes: ${nodesRead} read, ${nodesRemembered} remembered; packs opened: ${filesOpened}`,
      );
      return;
    } catch (thrown) {
      const error = toVzvaultError(thrown);
      if (error.code !== 'E_GC_INCOMPLETE' || attempt === collectionLimits.markAttempts) throw error;
      await settle(context, context.graceMs);
    }
  }
}

/** Marks what others need beside the snapshots. What of it cannot be walked is answered: why. */
export async function markOthers(
  context: CollectorContext,
  others: readonly { readonly sid: string; readonly roots: readonly MapRoot[] }[],
): Promise<ReadonlyMap<string, string>> {
  const failures = new Map<string, string>();
  if ((await whyNotMarked(context, uniqueRoots(others.flatMap(({ roots }) => roots)))) === null) return failures;
  for (const { sid, roots } of others) {
    const why = await whyNotMarked(context, roots);
    if (why !== null) failures.set(sid, why);
  }
  return failures;
}

/** Null where all of it was marked. */
async function whyNotMarked(context: CollectorContext, roots: readonly MapRoot[]): Promise<string | null> {
  try {
    if (roots.length > 0) await mark(context, roots);
    return null;
  } catch (thrown) {
    const error = toVzvaultError(thrown);
    if (error.code !== 'E_GC_INCOMPLETE') throw error;
    return error.message;
  }
}

async function mark({ collection, signal }: CollectorContext, roots: readonly MapRoot[]): Promise<MarkCounters> {
  return await collection.mark(roots, signal === undefined ? {} : { signal });
}

async function snapshotRoots(context: CollectorContext): Promise<MapRoot[]> {
  const ids = await context.target.snapshots.ids();
  const roots = await mapConcurrently(ids, collectionLimits.concurrentCalls, (id) => rootsOrIncomplete(context, id));
  return uniqueRoots(roots.flatMap((found) => found ?? []));
}

async function rootsOrIncomplete({ target }: CollectorContext, id: SnapshotId): Promise<MapRoot[] | null> {
  try {
    return await target.snapshots.roots(id);
  } catch (thrown) {
    const { code, message } = toVzvaultError(thrown);
    if (code !== 'E_SNAPSHOT_DAMAGED') throw thrown;
    throw new VzvaultError('E_GC_INCOMPLETE', `collecting: ${formatSnapshotId(id)} cannot be read: ${message}`, {
      cause: thrown,
    });
  }
}
