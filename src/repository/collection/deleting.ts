/**
 * Step 6 of a collection: what the verdict names goes. Every step can be repeated after a crash, by anybody, also by several at once.
 *
 * A verdict is acted on only after a look that its generation is not over, taken when all that was there before can be seen: its name is free
 * again once the generation is over, so somebody who slept may have put another one there.
 */

import { formatIsoTime } from '../../lib/time.js';
import { packPath } from '../pack-files.js';
import { settle, type CollectorContext } from './collector-context.js';
import type { Verdict } from './generation-documents.js';
import { verdictName } from './ledger.js';

export interface Freed {
  readonly generation: number;
  readonly packs: number;
  readonly freedBytes: number;
}

/** Null where the generation is over without us. REQUIRES: a verdict was put or seen. */
export async function carryOut(context: CollectorContext, generation: number): Promise<Freed | null> {
  const { generations, graceMs, sid } = context;
  const verdict = await generations.verdict(generation);
  if (verdict === null) return null;
  await settle(context, graceMs);
  const { pending, highest, generations: all } = await generations.ledger();
  if (pending?.number !== generation) {
    // Put by us behind the end of it: nobody acts on it.
    const isOver = highest > generation || all.some(({ number, isDone }) => number === generation && isDone);
    if (isOver && verdict.sid === sid) await generations.remove(verdictName(generation));
    return null;
  }
  const freed = await deletePacks(context, verdict);
  await settle(context, graceMs);
  const { sharing } = context;
  await generations.putDone({
    ...{ generation, sid, hostname: sharing.hostname, finishedAt: formatIsoTime(sharing.clock.nowSeconds()) },
    ...{ packs: freed.packs, freedBytes: freed.freedBytes },
  });
  return freed;
}

async function deletePacks(context: CollectorContext, verdict: Verdict): Promise<Freed> {
  const { collection, target, graceMs, signal, report } = context;
  const { generation, packs } = verdict;
  const { replaced, added } = await collection.mergeSegments(packs, signal === undefined ? {} : { signal });
  // Whoever lists the new segments only later must still find the old ones.
  if (replaced.length > 0) await settle(context, graceMs);
  for (const segment of replaced) await target.blobs.remove(`index/${segment}`);
  if (replaced.length > 0) report(`${replaced.length} index segments became ${added.length}`);
  let [removed, freedBytes] = [0, 0];
  for (const pack of packs) {
    await settle(context, 0);
    const name = packPath(pack);
    // Looked at here, since a generation that is gone on with was marked by somebody else.
    const status = await target.blobs.status(name);
    if (!(await target.blobs.remove(name))) continue;
    removed += 1;
    freedBytes += status?.sizeBytes ?? 0;
  }
  return { generation, packs: removed, freedBytes };
}
