/** Steps 1 to 3 of a collection: what is garbage, moving what lives among it, and saying so. Nothing is deleted here. */

import type { PackUse } from '../../engine/types.js';
import { formatBytes } from '../../lib/units.js';
import { settle, type CollectorContext } from './collector-context.js';
import { generationName } from './ledger.js';
import { markOthers, markSnapshots } from './marking.js';
import { choosePacks, type PackChoice } from './pack-choice.js';
import { observeSessions } from './session-reaper.js';

/** Marks what is in use now and chooses packs. E_GC_INCOMPLETE. */
export async function findGarbage(
  context: CollectorContext,
): Promise<PackChoice & { readonly packs: readonly PackUse[] }> {
  await markSnapshots(context);
  const sessions = await context.sessions.list();
  // What cannot be walked now is looked at again before the verdict.
  await markOthers(
    context,
    sessions.map(({ sid, document }) => ({ sid, roots: document?.roots ?? [] })),
  );
  const packs = await context.collection.packs();
  return { packs, ...choosePacks(packs, context.packChoice) };
}

/** Condemns what is garbage. Answers the generation that is pending then, or null where there is nothing to do. */
export async function condemn(context: CollectorContext): Promise<number | null> {
  const { dead, compact } = await findGarbage(context);
  const condemned = [...dead, ...compact].map(({ id }) => id);
  context.report(
    `garbage: ${dead.length} dead packs with ${formatBytes(sumOf(dead, 'fileBytes'))}, ${compact.length} to compact with ` +
      `${formatBytes(sumOf(compact, 'liveStoredBytes'))} in use of ${formatBytes(sumOf(compact, 'fileBytes'))}`,
  );
  if (condemned.length === 0) return null;
  await observeSessions(context);
  if (compact.length > 0) await compactPacks(context, [...dead, ...compact]);
  return await publish(context, condemned);
}

/** Of all that shall go, so that nothing relies on a place in another of them. */
async function compactPacks(
  { collection, signal, report }: CollectorContext,
  going: readonly PackUse[],
): Promise<void> {
  const ids = going.map(({ id }) => id);
  const { packs, addedBytes } = await collection.compact(ids, signal === undefined ? {} : { signal });
  report(`moved what is in use of ${ids.length} packs into ${packs.length} new ones with ${formatBytes(addedBytes)}`);
}

/**
 * Puts `condemned/<g>`. The look that nothing higher is there comes when what others did before can be seen: a number that was used before, by
 * somebody who overtook us, must not come to life again.
 */
async function publish(context: CollectorContext, packs: readonly string[]): Promise<number | null> {
  const { generations, sid, graceMs } = context;
  const before = await generations.ledger();
  const generation = before.pending?.number ?? before.highest + 1;
  // Where somebody else was faster, what we found is found again.
  const isOurs = before.pending === null && (await generations.putCondemned({ generation, sid, packs }));
  await settle(context, 2 * graceMs);
  const { pending, highest } = await generations.ledger();
  if (pending?.number === generation) return generation;
  if (isOurs && highest > generation) await generations.remove(generationName(generation));
  return null;
}

export function sumOf(packs: readonly PackUse[], field: 'fileBytes' | 'liveStoredBytes'): number {
  return packs.reduce((sum, pack) => sum + pack[field], 0);
}
