/**
 * The garbage collection of a repository that others use at the same time (docs/format.md, "Collection"):
 *
 *     condemn ─→ wait for claims ─→ verdict ─→ delete ─→ over
 *
 * All of its state lies in the repository: a collection that was stopped, at any point, is resumed by the next one of any node, and two at once
 * do no harm. It refers to nothing but names and listings; no clock of another machine is trusted.
 */

import { VzvaultError } from '../../lib/errors.js';
import { formatBytes } from '../../lib/units.js';
import { PassiveSession } from '../sessions/passive-session.js';
import { SessionFiles } from '../sessions/session-files.js';
import { settle, type CollectorContext, type CollectorOptions, type CollectorTarget } from './collector-context.js';
import { condemn, findGarbage, sumOf } from './condemning.js';
import { decide } from './deciding.js';
import { carryOut, type Freed } from './deleting.js';
import { GenerationFiles } from './generation-files.js';
import { listTmp, tidyLedger, tidyTmp } from './leftovers.js';
import { observeSessions } from './session-reaper.js';

export interface CollectionReport {
  /** What was over when this collection ended it; an earlier one's that it resumed, and its own. */
  readonly generations: readonly Freed[];
  readonly packs: number;
  readonly freedBytes: number;
}

/** What a collection would free. */
export interface GarbageReport {
  readonly packs: number;
  readonly packBytes: number;
  readonly deadPacks: number;
  readonly deadBytes: number;
  readonly compactPacks: number;
  /** What compacting frees: the packs without what is in use of them. */
  readonly compactBytes: number;
}

/**
 * Collects. E_GC_INCOMPLETE where what is in use cannot be found out (nothing is deleted then), E_KEY_MISSING and E_KEY_WRONG, E_UNSUPPORTED where
 * the storage cannot create names atomically, E_CANCELLED or the reason of the signal, errors of the storage. Whatever it ends with, the next one goes
 * on.
 */
export async function collectGarbage(target: CollectorTarget, options: CollectorOptions): Promise<CollectionReport> {
  target.access.require();
  if ((await target.blobs.noReplace()) === 'none') {
    throw new VzvaultError(
      'E_UNSUPPORTED',
      `collecting ${target.blobs.path}: the storage cannot create names atomically`,
    );
  }
  const { blobs, sealer } = target;
  const session = await PassiveSession.open(blobs, sealer, options.sharing, { kind: 'collector', roots: [] });
  try {
    return await withCollection(target, options, session.id, collect);
  } finally {
    await session.end();
  }
}

/** Only marks; writes nothing. E_GC_INCOMPLETE, E_KEY_MISSING, E_KEY_WRONG, errors of the storage. */
export async function assessGarbage(target: CollectorTarget, options: CollectorOptions): Promise<GarbageReport> {
  target.access.require();
  return await withCollection(target, options, options.sharing.newId(), async (context) => {
    const { packs, dead, compact } = await findGarbage(context);
    return {
      ...{ packs: packs.length, packBytes: sumOf(packs, 'fileBytes') },
      ...{ deadPacks: dead.length, deadBytes: sumOf(dead, 'fileBytes'), compactPacks: compact.length },
      compactBytes: sumOf(compact, 'fileBytes') - sumOf(compact, 'liveStoredBytes'),
    };
  });
}

async function collect(context: CollectorContext): Promise<CollectionReport> {
  const generations: Freed[] = [];
  const add = (freed: Freed | null): void => {
    if (freed === null) return;
    generations.push(freed);
    context.report(
      `generation ${freed.generation} is over: ${freed.packs} packs, ${formatBytes(freed.freedBytes)} freed`,
    );
  };
  const unfinished = await listTmp(context);
  await observeSessions(context);
  const { pending } = await context.generations.ledger();
  if (pending !== null) {
    context.report(`generation ${pending.number} was left unfinished; resuming it`);
    await settle(context, 2 * context.graceMs);
    add(await finish(context, pending.number));
  }
  const condemned = await condemn(context);
  if (condemned !== null) add(await finish(context, condemned));
  await tidyLedger(context);
  await tidyTmp(context, unfinished);
  const sum = (field: 'packs' | 'freedBytes'): number => generations.reduce((total, freed) => total + freed[field], 0);
  return { generations, packs: sum('packs'), freedBytes: sum('freedBytes') };
}

/** From condemned to over. REQUIRES: the generation was listed `2 * graceMs` ago or earlier. */
async function finish(context: CollectorContext, generation: number): Promise<Freed | null> {
  return (await decide(context, generation)) ? await carryOut(context, generation) : null;
}

async function withCollection<T>(
  target: CollectorTarget,
  options: CollectorOptions,
  sid: string,
  work: (context: CollectorContext) => Promise<T>,
): Promise<T> {
  const { bandwidthLimitBytesPerSecond, zstdLevel } = options;
  const store = await target.openStore();
  const collection = await store.collection({ sessionId: sid, bandwidthLimitBytesPerSecond, zstdLevel });
  try {
    const { blobs, sealer } = target;
    const files = { sessions: new SessionFiles(blobs, sealer), generations: new GenerationFiles(blobs, sealer) };
    return await work({ ...options, ...files, target, sid, collection });
  } finally {
    await collection.close();
  }
}
